/* Softmax, cross entropy, its gradient and the number of right answers, in one pass over the chosen rows. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* scores (n x classes); rows (count): those that count; labels (n). factors (classes), or NULL for ones: the weight of
 * each label. gradient (n x classes, or NULL): rows become the gradient of the weighted sum of the losses times `scale`.
 * sums: that sum, and the rows whose largest score (the first one of equals) is that of their label. */
void mpiedge_cross_entropy(int64_t count, int64_t classes, const int64_t *rows, const int64_t *labels,
                           const float *scores, const float *factors, float *gradient, float scale, double *sums) {
    for (int64_t k = 0; k < count; k++) {
        const float *score = scores + rows[k] * classes;
        int64_t label = labels[rows[k]], best = 0;
        for (int64_t j = 1; j < classes; j++)
            if (score[j] > score[best]) best = j;
        float total = 0.0f, factor = factors ? factors[label] : 1.0f;
        if (gradient) {
            float *out = gradient + rows[k] * classes;
            for (int64_t j = 0; j < classes; j++) total += out[j] = expf(score[j] - score[best]);
            for (int64_t j = 0; j < classes; j++) out[j] *= factor * scale / total;
            out[label] -= factor * scale;
        } else {
            for (int64_t j = 0; j < classes; j++) total += expf(score[j] - score[best]);
        }
        sums[0] += factor * (double)(logf(total) + score[best] - score[label]);
        sums[1] += best == label;
    }
}
