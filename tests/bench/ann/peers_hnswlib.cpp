/* hnswlib, M 16 and efConstruction 200. This file is compiled twice: with the flags of the project
 * (hnswlib-portable: its distances then are SSE) and with -march=native (hnswlib), which is the fair one,
 * since ours chooses its instructions at run time and its own choose them when they are compiled. Bytes are
 * those of the file that it would save. */
#ifdef PEER_NATIVE
/* Its functions get other names, so that both may lie in one program. */
#define hnswlib       hnswlib_native
#define cpuid         cpuid_native
#define xgetbv        xgetbv_native
#define AVXCapable    AVXCapable_native
#define AVX512Capable AVX512Capable_native
#define PEER_TABLE    peers_hnswlib_native
#else
#define PEER_TABLE peers_hnswlib_portable
#endif
#include <hnswlib/hnswlib.h>

#include <atomic>
#include <cstdio>
#include <exception>
#include <memory>
#include <thread>
#include <vector>

#include "tests/bench/ann/peers.h"

extern "C" const peer *PEER_TABLE(size_t *count);

namespace
{

struct Graph {
    hnswlib::L2Space space;
    hnswlib::HierarchicalNSW<float> graph;
    Graph(const peer_work *work) : space(work->dim), graph(&space, work->count, 16, 200, work->seed)
    {
    }
};

void add(Graph *made, const peer_work *work, std::atomic<size_t> *next)
{
    for (size_t i; (i = (*next)++) < work->count && peer_build_seconds(work) < work->seconds_max;)
        made->graph.addPoint(work->base + i * work->dim, i);
}

void *build(const peer *, const peer_work *work, char sentence[PEER_SENTENCE_BYTES])
try {
    auto made = std::make_unique<Graph>(work);
    std::atomic<size_t> next{0};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < work->threads; t++)
        threads.emplace_back(add, made.get(), work, &next);
    for (auto &thread : threads)
        thread.join();
    if (made->graph.cur_element_count == work->count)
        return made.release();
    std::snprintf(sentence, PEER_SENTENCE_BYTES,
                  "given up after %.0f processor seconds a thread at %.0f %% of its build", work->seconds_max,
                  100. * static_cast<double>(made->graph.cur_element_count) /
                      static_cast<double>(work->count));
    return nullptr;
} catch (const std::exception &e) {
    std::snprintf(sentence, PEER_SENTENCE_BYTES, "%s", e.what());
    return nullptr;
}

void set(void *index, const peer_knob *knob)
{
    static_cast<Graph *>(index)->graph.setEf(static_cast<size_t>(knob->first));
}

size_t search(void *index, unsigned, const float *query, uint32_t k, int32_t *items)
{
    auto found = static_cast<Graph *>(index)->graph.searchKnn(query, k);
    size_t count = found.size();
    for (size_t i = count; i-- > 0; found.pop())
        items[i] = static_cast<int32_t>(found.top().second);
    return count;
}

double bytes(void *index)
{
    auto &graph = static_cast<Graph *>(index)->graph;
    double links = 0;
    for (size_t i = 0; i < graph.cur_element_count; i++)
        links += 4. + static_cast<double>(graph.element_levels_[i]) *
                          static_cast<double>(graph.size_links_per_element_);
    return links +
           static_cast<double>(graph.cur_element_count) * static_cast<double>(graph.size_data_per_element_);
}

void destroy(void *index)
{
    delete static_cast<Graph *>(index);
}

const peer_knob efforts[] = {{10, 0}, {20, 0}, {40, 0}, {80, 0}, {160, 0}, {320, 0}, {640, 0}, {1280, 0}};

const peer kinds[] = {{
#ifdef PEER_NATIVE
    "hnswlib", "hnswlib M16, compiled for this machine",
#else
    "hnswlib-portable", "hnswlib M16, compiled as ours is (SSE)",
#endif
    "ef", efforts, std::size(efforts), false,
#ifdef PEER_NATIVE
    true,
#else
    false,
#endif
    0, build, set, search, bytes, destroy}};

} // namespace

const peer *PEER_TABLE(size_t *count)
{
    *count = std::size(kinds);
    return kinds;
}
