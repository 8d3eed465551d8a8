/* FLANN: four randomised kd-trees, as its authors advise for pictures. Its bytes are those it counts itself
 * and the vectors, which it needs and does not copy. */
#include <flann/flann.hpp>

#include <cstdio>
#include <exception>
#include <iterator>
#include <memory>

#include "tests/bench/ann/peers.h"

namespace
{

struct Trees {
    flann::Index<flann::L2<float>> index;
    double vector_bytes;
    uint32_t dim;
    int checks = 32;
    Trees(const flann::Matrix<float> &base, const flann::IndexParams &params)
        : index(base, params),
          vector_bytes(4. * static_cast<double>(base.rows) * static_cast<double>(base.cols)),
          dim(static_cast<uint32_t>(base.cols))
    {
    }
};

void *build(const peer *, const peer_work *work, char sentence[PEER_SENTENCE_BYTES])
try {
    flann::Matrix<float> base(const_cast<float *>(work->base), work->count, work->dim);
    flann::seed_random(static_cast<unsigned>(work->seed));
    auto made = std::make_unique<Trees>(base, flann::KDTreeIndexParams(4));
    made->index.buildIndex();
    return made.release();
} catch (const std::exception &e) {
    std::snprintf(sentence, PEER_SENTENCE_BYTES, "%s", e.what());
    return nullptr;
}

void set(void *index, const peer_knob *knob)
{
    static_cast<Trees *>(index)->checks = static_cast<int>(knob->first);
}

size_t search(void *index, unsigned, const float *query, uint32_t k, int32_t *items)
{
    auto *made = static_cast<Trees *>(index);
    float distances[1024];
    flann::Matrix<float> one(const_cast<float *>(query), 1, made->dim), to(distances, 1, k);
    flann::Matrix<int> found(items, 1, k);
    flann::SearchParams params(made->checks);
    params.cores = 1;
    return static_cast<size_t>(made->index.knnSearch(one, found, to, k, params));
}

double bytes(void *index)
{
    auto *made = static_cast<Trees *>(index);
    return static_cast<double>(made->index.usedMemory()) + made->vector_bytes;
}

void destroy(void *index)
{
    delete static_cast<Trees *>(index);
}

const peer_knob checks[] = {{64, 0}, {256, 0}, {1024, 0}, {4096, 0}, {16384, 0}, {65536, 0}};

const peer kinds[] = {{"flann-kd4", "FLANN, 4 kd-trees", "checks", checks, std::size(checks), false, true, 0,
                       build, set, search, bytes, destroy}};

} // namespace

const peer *peers_flann(size_t *count)
{
    *count = std::size(kinds);
    return kinds;
}
