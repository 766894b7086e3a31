/* A ConvNet block on a CPU: convolution 3x3 (padding 1), instance norm, ReLU, average pooling 2x2, and back.
 *
 * The convolution is Winograd's; of an image with its few channels it is a plain matrix product of pixel
 * neighbourhoods ("columns"). What follows it is done on a slice of channels that is still in the cache.
 * Maps are NHWC, so that a vector holds neighbouring channels; images are NCHW. The convolution's bias is
 * left out: the norm takes it away again. A call works in one thread: callers share out the images.
 */
#include "winograd.h"

#include <string.h>

struct block {
    int64_t count, h, w, c, k; /* images; map before the pooling; channels in and out, k a multiple of SLICE */
    float eps;
    const float *weight;       /* forward: see the functions */
    const float *gamma, *beta; /* of the norm, k */
    const float *x;            /* count maps (h w c), or images (c h w) */
    float *out;                /* count maps (h/2 w/2 k) */
    float *kept;               /* the normalised maps, count (h w k); null if there is no way back */
    float *inverse;            /* one over the maps' deviations, count (k) */
    const float *dout;         /* gradient at out */
    float *dx, *dweight;       /* gradients at x and at weight; null if not wanted; dweight is added to */
    float *dgamma, *dbeta;     /* count (k): sums over each map */
    float *scratch;            /* scratch_size floats */
};

int slice_width(void) { return SLICE; }

/* x where gate is positive or not a number, else 0: a NaN must stay one. */
static inline vec pass(vec x, vec gate) { return (vec)((mask)x & ~(gate <= (vec){0})); }

static inline vec relu(vec x) { return pass(x, x); }

/* One slice of image n's channels after the convolution, y (h w SLICE), to its pooled map. */
static void norm_relu_pool(const struct block *b, long n, long slice, const float *y) {
    long h = b->h, w = b->w, k = b->k, pixels = h * w;
    for (long lane = 0; lane < SLICE; lane += LANES) {
        long channel = slice + lane;
        const float *from = y + lane;
        vec sum = {0}, squares = {0};
        for (long p = 0; p < pixels; p++) sum += CAT(from + p * SLICE);
        vec mean = sum / (float)pixels;
        for (long p = 0; p < pixels; p++) {
            vec d = CAT(from + p * SLICE) - mean;
            squares += d * d;
        }
        vec scale = squares / (float)pixels + b->eps;
        for (int i = 0; i < LANES; i++) scale[i] = 1.0f / __builtin_sqrtf(scale[i]);
        if (b->kept) {
            AT(b->inverse + n * k + channel) = scale;
            float *to = b->kept + n * pixels * k + channel;
            for (long p = 0; p < pixels; p++) AT(to + p * k) = (CAT(from + p * SLICE) - mean) * scale;
        }
        vec factor = scale * CAT(b->gamma + channel), shift = CAT(b->beta + channel) - mean * factor;
        float *to = b->out + n * (h / 2) * (w / 2) * k + channel;
        for (long i = 0; i + 1 < h; i += 2)
            for (long j = 0; j + 1 < w; j += 2, to += k) {
                const float *upper = from + (i * w + j) * SLICE, *lower = upper + w * SLICE;
                vec four = relu(CAT(upper) * factor + shift) + relu(CAT(upper + SLICE) * factor + shift);
                four += relu(CAT(lower) * factor + shift) + relu(CAT(lower + SLICE) * factor + shift);
                AT(to) = four * 0.25f;
            }
    }
}

/* The gradient of image n after the convolution, dz (h w k), and its shares of dgamma and dbeta. */
static void norm_relu_pool_backward(const struct block *b, long n, float *dz) {
    long h = b->h, w = b->w, k = b->k, pixels = h * w;
    for (long lane = 0; lane < k; lane += LANES) {
        const float *kept = b->kept + n * pixels * k + lane;
        const float *dout = b->dout + n * (h / 2) * (w / 2) * k + lane;
        vec gamma = CAT(b->gamma + lane), beta = CAT(b->beta + lane), sum = {0}, along = {0};
        for (long i = 0; i < h; i++)
            for (long j = 0; j < w; j++) {
                vec x = CAT(kept + (i * w + j) * k), d = {0};
                /* An odd last row or column is in no pool. */
                if (i / 2 < h / 2 && j / 2 < w / 2)
                    d = pass(CAT(dout + (i / 2 * (w / 2) + j / 2) * k) * 0.25f, x * gamma + beta);
                sum += d;
                along += d * x;
                AT(dz + (i * w + j) * k + lane) = d;
            }
        AT(b->dbeta + n * k + lane) = sum;
        AT(b->dgamma + n * k + lane) = along;
        vec mean = sum / (float)pixels, slope = along / (float)pixels;
        vec scale = gamma * CAT(b->inverse + n * k + lane);
        for (long p = 0; p < pixels; p++) {
            vec d = CAT(dz + p * k + lane);
            AT(dz + p * k + lane) = scale * (d - mean - CAT(kept + p * k) * slope);
        }
    }
}

int64_t scratch_size(int64_t h, int64_t w, int64_t c, int64_t k) {
    int64_t wide = c > k ? c : k, group = group_of(h, w), rows = rows_of(group, h, w);
    int64_t maps = POINTS * rows * (2 * wide + SLICE) + group * h * w * wide + h * w * SLICE;
    int64_t image = round_up(h * w) * (9 * c + SLICE + k);
    return maps > image ? maps : image;
}

/* weight: [k / SLICE][POINTS][c][SLICE], Winograd's points of the kernels. */
void block_forward(const struct block *b) {
    long pixels = b->h * b->w, most = group_of(b->h, b->w);
    for (long first = 0; first < b->count; first += most) {
        int group = b->count - first < most ? b->count - first : most, rows = rows_of(group, b->h, b->w);
        float *v = b->scratch, *m = v + (long)POINTS * rows * b->c, *y = m + (long)POINTS * rows * SLICE;
        winograd_input(b->x + first * pixels * b->c, group, b->h, b->w, b->c, v);
        for (long slice = 0; slice < b->k; slice += SLICE) {
            winograd_slice(v, b->weight + slice * POINTS * b->c, rows, b->c, m);
            for (int n = 0; n < group; n++) {
                winograd_output(m, rows, n, b->h, b->w, y, SLICE);
                norm_relu_pool(b, first + n, slice, y);
            }
        }
    }
}

/* weight: as for block_forward, of the kernels turned by 180 degrees with c and k exchanged.
 * dweight: [POINTS][c][k], at Winograd's points. */
void block_backward(const struct block *b) {
    long pixels = b->h * b->w, most = group_of(b->h, b->w), c = b->c, k = b->k;
    for (long first = 0; first < b->count; first += most) {
        int group = b->count - first < most ? b->count - first : most, rows = rows_of(group, b->h, b->w);
        float *dz = b->scratch, *v = dz + group * pixels * k, *m = v + (long)POINTS * rows * (c > k ? c : k);
        for (int n = 0; n < group; n++) norm_relu_pool_backward(b, first + n, dz + n * pixels * k);
        if (b->dx) {
            winograd_input(dz, group, b->h, b->w, k, v);
            for (long slice = 0; slice < c; slice += SLICE) {
                winograd_slice(v, b->weight + slice * POINTS * k, rows, k, m);
                for (int n = 0; n < group; n++)
                    winograd_output(m, rows, n, b->h, b->w, b->dx + (first + n) * pixels * c + slice, c);
            }
        }
        if (b->dweight) {
            winograd_input(b->x + first * pixels * c, group, b->h, b->w, c, v);
            winograd_gradient(dz, group, b->h, b->w, k, m);
            for (long point = 0; point < POINTS; point++)
                for (long slice = 0; slice < k; slice += SLICE)
                    multiply(v + point * rows * c, 1, c, m + point * rows * k + slice, k,
                             b->dweight + point * c * k + slice, k, c, rows, 1);
        }
    }
}

/* Image n to columns: for each pixel the 9 c values around it, zero outside. */
static void columns_of(const struct block *b, long n, float *columns) {
    long h = b->h, w = b->w;
    for (long i = 0; i < h; i++)
        for (long j = 0; j < w; j++)
            for (long channel = 0; channel < b->c; channel++)
                for (long y = i - 1; y <= i + 1; y++)
                    for (long x = j - 1; x <= j + 1; x++) {
                        int inside = y >= 0 && y < h && x >= 0 && x < w;
                        *columns++ = inside ? b->x[((n * b->c + channel) * h + y) * w + x] : 0;
                    }
}

/* weight: [k / SLICE][9 c][SLICE]. */
void image_forward(const struct block *b) {
    long pixels = b->h * b->w, rows = round_up(pixels), taps = 9 * b->c;
    float *columns = b->scratch, *y = columns + rows * taps;
    memset(columns + pixels * taps, 0, sizeof(float) * (rows - pixels) * taps);
    for (long n = 0; n < b->count; n++) {
        columns_of(b, n, columns);
        for (long slice = 0; slice < b->k; slice += SLICE) {
            multiply(columns, taps, 1, b->weight + slice * taps, SLICE, y, SLICE, rows, taps, 0);
            norm_relu_pool(b, n, slice, y);
        }
    }
}

/* Image n's gradient from that of a slice of its columns, from tap `first` on. */
static void add_columns(const struct block *b, long n, long first, const float *columns) {
    long h = b->h, w = b->w;
    for (long tap = first; tap < 9 * b->c && tap < first + SLICE; tap++) {
        long down = tap % 9 / 3 - 1, right = tap % 3 - 1;
        float *image = b->dx + (n * b->c + tap / 9) * h * w;
        for (long y = down < 0 ? 1 : 0; y < h && y + down < h; y++)
            for (long x = right < 0 ? 1 : 0; x < w && x + right < w; x++)
                image[(y + down) * w + x + right] += columns[(y * w + x) * SLICE + tap - first];
    }
}

/* weight: [9 c / SLICE, rounded up][k][SLICE], zero beyond the 9 c taps. dx starts as zeros.
 * dweight: [9 c, rounded up to ROWS][k], meaningless beyond the 9 c taps. */
void image_backward(const struct block *b) {
    long pixels = b->h * b->w, rows = round_up(pixels), taps = 9 * b->c, k = b->k;
    float *dz = b->scratch, *columns = dz + rows * k, *dcolumns = columns;
    memset(dz + pixels * k, 0, sizeof(float) * (rows - pixels) * k);
    for (long n = 0; n < b->count; n++) {
        norm_relu_pool_backward(b, n, dz);
        if (b->dx)
            for (long first = 0; first < taps; first += SLICE) {
                multiply(dz, k, 1, b->weight + first * k, SLICE, dcolumns, SLICE, rows, k, 0);
                add_columns(b, n, first, dcolumns);
            }
        if (b->dweight) {
            /* The last row of the product reads past its columns. */
            memset(columns + pixels * taps, 0, sizeof(float) * ROWS);
            columns_of(b, n, columns);
            for (long slice = 0; slice < k; slice += SLICE)
                multiply(columns, 1, taps, dz + slice, k, b->dweight + slice, k, round_up(taps), pixels, 1);
        }
    }
}
