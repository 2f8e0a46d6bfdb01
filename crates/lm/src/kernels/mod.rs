//! The arithmetic of a transformer on plain `f32` slices, forward and backward.
//!
//! The only module of the workspace that holds `unsafe`: its views check their bounds, and what
//! lies behind them may then rely on it.

mod gemm;
mod matrix;
mod pool;
mod quant;
mod simd;
mod tile;
mod vector;

pub use gemm::matmul;
pub use matrix::{Matrix, Precision};
pub use pool::Pool;
pub use quant::{BLOCK, Bits, QuantInput, QuantMatrix, quant_linear};
pub use simd::Simd;
pub use vector::{
    AdamStep, adam, add_rows, add_weighted_rows, dot, dropout, gelu, gelu_back, gru, gru_back,
    layer_norm, layer_norm_back, log_sum_exp, relu, relu_back, rms_norm, rms_norm_back,
    sigmoid_gate, sigmoid_gate_back, softmax, softmax_back, swiglu, swiglu_back,
};

/// A matrix inside a slice: element (i, j) lies at `i * row_stride + j * col_stride`.
#[derive(Clone, Copy)]
pub struct View<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> View<'a> {
    /// Row-major (rows, cols) with `stride` elements from row to row.
    pub fn new(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> Self {
        let view = Self {
            data,
            rows,
            cols,
            row_stride: stride,
            col_stride: 1,
        };
        check(data.len(), rows, cols, stride, 1);
        view
    }

    /// The transpose.
    pub fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

/// A row-major matrix to write into.
pub struct ViewMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
}

impl<'a> ViewMut<'a> {
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize, stride: usize) -> Self {
        check(data.len(), rows, cols, stride, 1);
        Self {
            data,
            rows,
            cols,
            row_stride: stride,
        }
    }
}

fn check(len: usize, rows: usize, cols: usize, row_stride: usize, col_stride: usize) {
    if rows > 0 && cols > 0 {
        let last = (rows - 1) * row_stride + (cols - 1) * col_stride;
        assert!(
            last < len,
            "matmul: a {rows}x{cols} view with strides ({row_stride}, {col_stride}) exceeds its {len} elements"
        );
    }
}

/// `ys = xs wᵀ`: xs (n, d_in), w (d_out, d_in), ys (n, d_out); `keep` as in [`matmul`].
pub fn linear(
    ys: &mut [f32],
    keep: f32,
    xs: &[f32],
    w: &[f32],
    n: usize,
    d_in: usize,
    d_out: usize,
) {
    matmul(
        ViewMut::new(ys, n, d_out, d_out),
        keep,
        1.0,
        View::new(xs, n, d_in, d_in),
        View::new(w, d_out, d_in, d_in).t(),
    );
}

/// `dxs = keep * dxs + dys w`: the gradient of [`linear`] with respect to its input.
pub fn linear_back(
    dxs: &mut [f32],
    keep: f32,
    dys: &[f32],
    w: &[f32],
    n: usize,
    d_in: usize,
    d_out: usize,
) {
    matmul(
        ViewMut::new(dxs, n, d_in, d_in),
        keep,
        1.0,
        View::new(dys, n, d_out, d_out),
        View::new(w, d_out, d_in, d_in),
    );
}

/// Numbers in [−1, 1) that look random: operands for the tests of the kernels.
#[cfg(test)]
fn numbers(n: usize, seed: u32) -> Vec<f32> {
    let mut x = seed;
    let mut next = || {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (x >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..n).map(|_| next()).collect()
}
