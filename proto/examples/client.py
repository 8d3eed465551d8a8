#!/usr/bin/python3
"""client.py ALBUM FILE: pushes a cover, waits until it is described, prints its neighbours. Written from PROTOCOL.md."""
import hashlib, itertools, os, sys, time
import msgpack, zmq

socket = zmq.Context.instance().socket(zmq.DEALER)
socket.connect("ipc://" + os.path.abspath(os.environ.get("COVERFLEET_HOME", "var")) + "/run/client.sock")
ids = itertools.count(1)

def ask(kind, **fields):
    number = next(ids)
    socket.send(msgpack.packb({"v": 1, "kind": kind, "id": number, **fields}))
    while socket.poll(10000):
        reply = msgpack.unpackb(socket.recv())
        if reply.get("id") == number:
            return sys.exit(reply["detail"]) if reply["kind"] == "error" else reply
    sys.exit("no answer: is the fleet up?")

album, cover = sys.argv[1], open(sys.argv[2], "rb").read()
item = {"album": album, "bytes": cover, "sha256": hashlib.sha256(cover).digest()}
result = ask("push", items=[item])["results"][0]
print(album, result["status"], result.get("detail", ""))
while (state := ask("states", albums=[album])["states"][0])["state"] in ("queued", "delayed", "leased"):
    time.sleep(0.05)
print(album, state["state"], state.get("error", ""))
found = ask("query", space="gist", k=5, targets=[{"album": album}])["results"][0]
for neighbor in found.get("neighbors", []):
    print(f"{neighbor['distance']:.4f} {neighbor['album']} {neighbor.get('title', '')}")
sys.exit(found.get("detail"))
