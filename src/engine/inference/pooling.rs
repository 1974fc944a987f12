//! Hidden states to vectors, where the graph does not pool: the first token's ([`Pooling::Cls`]) or the
//! mean over a text's tokens ([`Pooling::Mean`]), L2-normalised. As FlagEmbedding's `FlagModel` does it.

use crate::engine::models::pooling::Pooling;
use crate::vector::normalize_in_place;
use ndarray::{Array2, ArrayView2, ArrayView3, Axis};

/// Pools `[batch, tokens, dims]` into normalised rows `[batch, dims]`; `lengths` are the tokens of
/// each text without padding.
pub fn pool<T: Copy + Into<f32>>(
    hidden: ArrayView3<'_, T>,
    lengths: &[usize],
    pooling: Pooling,
) -> Array2<f32> {
    let mut rows = Array2::zeros((lengths.len(), hidden.len_of(Axis(2))));
    for (i, mut row) in rows.rows_mut().into_iter().enumerate() {
        let states = hidden.index_axis(Axis(0), i);
        let values = match pooling {
            Pooling::Cls => states.row(0).mapv(Into::into),
            Pooling::Mean => mean(states, lengths[i]),
        };
        row.assign(&values);
        normalize_in_place(
            row.as_slice_mut()
                .expect("rows of a fresh array are contiguous"),
        );
    }
    rows
}

fn mean<T: Copy + Into<f32>>(states: ArrayView2<'_, T>, length: usize) -> ndarray::Array1<f32> {
    let mut sum = ndarray::Array1::<f64>::zeros(states.ncols());
    for token in states.rows().into_iter().take(length) {
        sum.zip_mut_with(&token, |s, &x| *s += f64::from(x.into()));
    }
    sum.mapv(|s| (s / length as f64) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn cls_takes_the_first_token_and_mean_leaves_padding_out() {
        let hidden =
            Array3::from_shape_vec((1, 3, 2), vec![3.0f32, 4.0, 5.0, 12.0, 900.0, 900.0]).unwrap();
        let cls = pool(hidden.view(), &[2], Pooling::Cls);
        assert_eq!(cls.row(0).to_vec(), [0.6, 0.8]);
        let mean = pool(hidden.view(), &[2], Pooling::Mean);
        let norm = (4.0f32 * 4.0 + 8.0 * 8.0).sqrt();
        assert_eq!(mean.row(0).to_vec(), [4.0 / norm, 8.0 / norm]);
    }
}
