/* Convolution 3x3, padding 1, of NHWC maps by Winograd's F(4x4, 3x3): a quarter of the multiplications.
 *
 * Lavin & Gray, arXiv 1509.09308. Each 4x4 tile of the output is interpolated from 36 points, at which the
 * convolution is a plain product: for each point one matrix product over the channels. The points 0, +-5/8,
 * +-3/2 and infinity are exact in binary and halve the rounding error of the usual 0, +-1, +-2.
 */
#include <stdint.h>

#if defined(__AVX512F__)
#define LANES 16
#define ROWS 8
#elif defined(__AVX__)
#define LANES 8
#define ROWS 4
#else
#define LANES 4
#define ROWS 4
#endif
#define SLICE (2 * LANES) /* output channels worked on at a time, ROWS rows of them in registers */
#define POINTS 36
#define POINT_A 0.625f
#define POINT_B 1.5f
#define TILES_AT_ONCE 32 /* so many that weights are not read too often and that all fits the cache */

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4)));
typedef int32_t mask __attribute__((vector_size(4 * LANES)));
#define AT(p) (*(vec *)(p))
#define CAT(p) (*(const vec *)(p))

static int round_up(int rows) { return (rows + ROWS - 1) / ROWS * ROWS; }

/* c = a b, or c += a b. a: element (r, d) at a[r * a_row + d * a_depth]; b: depth rows of SLICE floats, b_row
 * apart; c: rows of SLICE floats, c_row apart. rows is a multiple of ROWS. */
static inline __attribute__((always_inline)) void multiply(
    const float *a, long a_row, long a_depth, const float *b, long b_row, float *c, long c_row, int rows, int depth,
    int add) {
    for (int r = 0; r < rows; r += ROWS) {
        vec sum[ROWS][2];
#pragma GCC unroll 8
        for (int i = 0; i < ROWS; i++) {
            float *to = c + (r + i) * c_row;
            sum[i][0] = add ? CAT(to) : (vec){0};
            sum[i][1] = add ? CAT(to + LANES) : (vec){0};
        }
        for (long d = 0; d < depth; d++) {
            vec b0 = CAT(b + d * b_row), b1 = CAT(b + d * b_row + LANES);
#pragma GCC unroll 8
            for (int i = 0; i < ROWS; i++) {
                float x = a[(r + i) * a_row + d * a_depth];
                sum[i][0] += x * b0;
                sum[i][1] += x * b1;
            }
        }
#pragma GCC unroll 8
        for (int i = 0; i < ROWS; i++) {
            float *to = c + (r + i) * c_row;
            AT(to) = sum[i][0];
            AT(to + LANES) = sum[i][1];
        }
    }
}

/* Six values of a tile to their points: a column of B' d B. */
static inline void input_points(const vec d[6], vec out[6]) {
    const float a = POINT_A, b = POINT_B, a2 = a * a, b2 = b * b;
    vec even_a = d[4] - b2 * d[2], odd_a = a * (d[3] - b2 * d[1]);
    vec even_b = d[4] - a2 * d[2], odd_b = b * (d[3] - a2 * d[1]);
    out[0] = a2 * b2 * d[0] - (a2 + b2) * d[2] + d[4];
    out[1] = even_a + odd_a;
    out[2] = even_a - odd_a;
    out[3] = even_b + odd_b;
    out[4] = even_b - odd_b;
    out[5] = a2 * b2 * d[1] - (a2 + b2) * d[3] + d[5];
}

/* Six points to four values of the output: a column of A' m A. */
static inline void output_points(const vec m[6], vec out[4]) {
    const float a = POINT_A, b = POINT_B, a2 = a * a, b2 = b * b;
    vec sum_a = m[1] + m[2], minus_a = m[1] - m[2], sum_b = m[3] + m[4], minus_b = m[3] - m[4];
    out[0] = m[0] + sum_a + sum_b;
    out[1] = a * minus_a + b * minus_b;
    out[2] = a2 * sum_a + b2 * sum_b;
    out[3] = a2 * a * minus_a + b2 * b * minus_b + m[5];
}

/* The transpose of output_points: a column of A y A'. */
static inline void gradient_points(const vec y[4], vec out[6]) {
    const float a = POINT_A, b = POINT_B, a2 = a * a, b2 = b * b;
    vec even_a = y[0] + a2 * y[2], odd_a = a * y[1] + a2 * a * y[3];
    vec even_b = y[0] + b2 * y[2], odd_b = b * y[1] + b2 * b * y[3];
    out[0] = y[0];
    out[1] = even_a + odd_a;
    out[2] = even_a - odd_a;
    out[3] = even_b + odd_b;
    out[4] = even_b - odd_b;
    out[5] = y[3];
}

static inline vec pixel(const float *map, int h, int w, int c, int y, int x) {
    return y >= 0 && y < h && x >= 0 && x < w ? CAT(map + ((long)y * w + x) * c) : (vec){0};
}

/* A tile of `side` x `side` pixels, zero outside the map, to its points, `stride` floats apart. */
static inline __attribute__((always_inline)) void transform(
    const float *map, int h, int w, int c, int top, int left, int side, void (*points)(const vec *, vec *), float *v,
    long stride) {
    vec half[6][6];
    for (int j = 0; j < side; j++) {
        vec d[6];
        for (int i = 0; i < side; i++) d[i] = pixel(map, h, w, c, top + i, left + j);
        points(d, half[j]);
    }
    for (int i = 0; i < 6; i++) {
        vec d[6], out[6];
        for (int j = 0; j < side; j++) d[j] = half[j][i];
        points(d, out);
        for (int j = 0; j < 6; j++) AT(v + (6 * i + j) * stride) = out[j];
    }
}

static void transform_output(const float *m, long stride, float *map, int h, int w, int c, int top, int left) {
    vec half[6][4];
    for (int j = 0; j < 6; j++) {
        vec d[6];
        for (int i = 0; i < 6; i++) d[i] = CAT(m + (6 * i + j) * stride);
        output_points(d, half[j]);
    }
    for (int i = 0; i < 4 && top + i < h; i++) {
        vec d[6], out[4];
        for (int j = 0; j < 6; j++) d[j] = half[j][i];
        output_points(d, out);
        for (int j = 0; j < 4 && left + j < w; j++) AT(map + ((long)(top + i) * w + left + j) * c) = out[j];
    }
}

static int tiles_of(int h, int w) { return ((h + 3) / 4) * ((w + 3) / 4); }

/* Maps worked on together. */
static int group_of(int h, int w) {
    int group = TILES_AT_ONCE / tiles_of(h, w);
    return group < 1 ? 1 : group;
}

/* Rows of the products of a group's tiles: those beyond its tiles are zero. */
static int rows_of(int group, int h, int w) { return round_up(group * tiles_of(h, w)); }

static inline __attribute__((always_inline)) void transform_all(
    const float *maps, int group, int h, int w, int c, int border, int side, void (*points)(const vec *, vec *),
    float *v) {
    int across = (w + 3) / 4, tiles = tiles_of(h, w), rows = rows_of(group, h, w);
    for (int t = 0; t < rows; t++) {
        int there = t < group * tiles;
        const float *map = maps + (there ? (long)(t / tiles) * h * w * c : 0);
        int top = 4 * (t % tiles / across) - border, left = 4 * (t % tiles % across) - border;
        for (int lane = 0; lane < c; lane += LANES)
            transform(map + lane, there ? h : 0, w, c, top, left, side, points, v + (long)t * c + lane,
                      (long)rows * c);
    }
}

/* Maps (h w c) to v [POINTS][rows][c]. */
static void winograd_input(const float *x, int group, int h, int w, int c, float *v) {
    transform_all(x, group, h, w, c, 1, 6, input_points, v);
}

/* Gradients at the output (h w k) to those at the points, m [POINTS][rows][k]. */
static void winograd_gradient(const float *dz, int group, int h, int w, int k, float *m) {
    transform_all(dz, group, h, w, k, 0, 4, gradient_points, m);
}

/* The products for one slice of output channels, u [POINTS][c][SLICE], to m [POINTS][rows][SLICE]. */
static void winograd_slice(const float *v, const float *u, int rows, int c, float *m) {
    for (int point = 0; point < POINTS; point++)
        multiply(v + (long)point * rows * c, c, 1, u + (long)point * c * SLICE, SLICE,
                 m + (long)point * rows * SLICE, SLICE, rows, c, 0);
}

/* Map n of the group, one slice of its channels, `wide` floats a pixel. */
static void winograd_output(const float *m, int rows, int n, int h, int w, float *map, int wide) {
    int across = (w + 3) / 4, tiles = tiles_of(h, w);
    for (int t = 0; t < tiles; t++)
        for (int lane = 0; lane < SLICE; lane += LANES)
            transform_output(m + (long)(n * tiles + t) * SLICE + lane, (long)rows * SLICE, map + lane, h, w, wide,
                             4 * (t / across), 4 * (t % across));
}
