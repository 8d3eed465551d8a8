/* Debian's faiss, by its factory strings. Lists: the power of two next to the square root of the count, and
 * one more; product codes of 4 bits for 4 dimensions each. Bytes are those of the index as faiss writes it.
 */
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVF.h>
#include <faiss/IndexRefine.h>
#include <faiss/impl/io.h>
#include <faiss/index_factory.h>
#include <faiss/index_io.h>
#include <omp.h>

#include <cmath>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>

#include "tests/bench/ann/peers.h"

extern "C" void openblas_set_num_threads(int threads);

namespace
{

enum { IVF_FLAT, IVF_SQ8, IVF_PQ_SQ8, IVF_PQ_FLAT, HNSW_FLAT, HNSW_SQ8 };

struct Faiss {
    std::unique_ptr<faiss::Index> index;
    faiss::IndexRefine *refine = nullptr; /* borrowed, as the two below */
    faiss::IndexIVF *ivf = nullptr;
    faiss::IndexHNSW *hnsw = nullptr;
};

struct CountingWriter : faiss::IOWriter {
    double bytes = 0;
    size_t operator()(const void *, size_t size, size_t count) override
    {
        bytes += static_cast<double>(size) * static_cast<double>(count);
        return count;
    }
};

std::string factory(int variant, size_t count, uint32_t dim)
{
    long lists = 1L << static_cast<int>(std::ceil(std::log2(std::sqrt(static_cast<double>(count)))));
    std::string ivf = "IVF" + std::to_string(lists);
    std::string pq = ",PQ" + std::to_string(dim % 4 == 0 ? dim / 4 : dim) + "x4fs";
    switch (variant) {
    case IVF_FLAT:
        return ivf + ",Flat";
    case IVF_SQ8:
        return ivf + ",SQ8";
    case IVF_PQ_SQ8:
        return ivf + pq + ",Refine(SQ8)";
    case IVF_PQ_FLAT:
        return ivf + pq + ",RFlat";
    case HNSW_FLAT:
        return "HNSW16,Flat";
    default:
        return "HNSW16_SQ8";
    }
}

void single_thread()
{
    omp_set_num_threads(1);
}

void *build(const peer *self, const peer_work *work, char sentence[PEER_SENTENCE_BYTES])
try {
    omp_set_num_threads(static_cast<int>(work->threads));
    openblas_set_num_threads(static_cast<int>(work->threads));
    auto made = std::make_unique<Faiss>();
    made->index.reset(faiss::index_factory(static_cast<int>(work->dim),
                                           factory(self->variant, work->count, work->dim).c_str()));
    made->refine = dynamic_cast<faiss::IndexRefine *>(made->index.get());
    faiss::Index *first = made->refine ? made->refine->base_index : made->index.get();
    made->ivf = dynamic_cast<faiss::IndexIVF *>(first);
    made->hnsw = dynamic_cast<faiss::IndexHNSW *>(first);
    /* Lists train on at most 64 vectors each: more took longer and found no more. */
    if (made->ivf)
        made->ivf->cp.max_points_per_centroid = 64;
    made->index->train(static_cast<faiss::Index::idx_t>(work->count), work->base);
    for (size_t at = 0, step = work->count / 20 + 1; at < work->count; at += step) {
        size_t some = work->count - at < step ? work->count - at : step;
        made->index->add(static_cast<faiss::Index::idx_t>(some), work->base + at * work->dim);
        if (peer_build_seconds(work) > work->seconds_max) {
            std::snprintf(sentence, PEER_SENTENCE_BYTES,
                          "given up after %.0f processor seconds a thread at %.0f %% of its build",
                          peer_build_seconds(work),
                          100. * static_cast<double>(at + some) / static_cast<double>(work->count));
            single_thread();
            return nullptr;
        }
    }
    single_thread();
    openblas_set_num_threads(1);
    return made.release();
} catch (const std::exception &e) {
    std::snprintf(sentence, PEER_SENTENCE_BYTES, "%s", e.what());
    return nullptr;
}

void set(void *index, const peer_knob *knob)
{
    auto *made = static_cast<Faiss *>(index);
    if (made->ivf)
        made->ivf->nprobe = static_cast<size_t>(knob->first);
    if (made->hnsw)
        made->hnsw->hnsw.efSearch = static_cast<int>(knob->first);
    if (made->refine)
        made->refine->k_factor = static_cast<float>(knob->second);
}

size_t search(void *index, unsigned, const float *query, uint32_t k, int32_t *items)
{
    auto *made = static_cast<Faiss *>(index);
    faiss::Index::idx_t found[1024];
    float distances[1024];
    single_thread(); /* a setting of each thread of its own */
    made->index->search(1, query, static_cast<faiss::Index::idx_t>(k), distances, found);
    size_t count = 0;
    for (uint32_t i = 0; i < k; i++)
        if (found[i] >= 0)
            items[count++] = static_cast<int32_t>(found[i]);
    return count;
}

double bytes(void *index)
{
    CountingWriter writer;
    faiss::write_index(static_cast<Faiss *>(index)->index.get(), &writer);
    return writer.bytes;
}

void destroy(void *index)
{
    delete static_cast<Faiss *>(index);
}

const peer_knob probes[] = {{1, 0}, {2, 0}, {4, 0}, {8, 0}, {16, 0}, {32, 0}, {64, 0}, {128, 0}};
const peer_knob refined[] = {{1, 4},   {2, 5},   {4, 5},   {8, 8},    {16, 8},  {16, 16},
                             {32, 16}, {64, 16}, {64, 32}, {128, 32}, {256, 64}};
const peer_knob efforts[] = {{10, 0}, {20, 0}, {40, 0}, {80, 0}, {160, 0}, {320, 0}, {640, 0}, {1280, 0}};

constexpr peer kind(const char *name, const char *what, int variant, const char *knob_name,
                    const peer_knob *knobs, size_t knob_count, bool by_default)
{
    return peer{name,    what,  knob_name, knobs,  knob_count, false,  by_default,
                variant, build, set,       search, bytes,      destroy};
}

const peer kinds[] = {
    kind("faiss-ivf-flat", "faiss IVF, full vectors", IVF_FLAT, "nprobe", probes, std::size(probes), true),
    kind("faiss-ivf-sq8", "faiss IVF, 8 bits a dimension", IVF_SQ8, "nprobe", probes, std::size(probes),
         true),
    kind("faiss-ivf-pq-sq8", "faiss IVF, PQ fast scan, refined in 8 bits", IVF_PQ_SQ8, "nprobe, k_factor",
         refined, std::size(refined), true),
    kind("faiss-ivf-pq-flat", "faiss IVF, PQ fast scan, refined on full vectors", IVF_PQ_FLAT,
         "nprobe, k_factor", refined, std::size(refined), true),
    kind("faiss-hnsw-sq8", "faiss HNSW M16 on 8 bits a dimension", HNSW_SQ8, "efSearch", efforts,
         std::size(efforts), true),
    kind("faiss-hnsw", "faiss HNSW M16 on full vectors", HNSW_FLAT, "efSearch", efforts, std::size(efforts),
         false),
};

} // namespace

const peer *peers_faiss(size_t *count)
{
    *count = std::size(kinds);
    return kinds;
}
