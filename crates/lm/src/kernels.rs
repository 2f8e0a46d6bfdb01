//! The arithmetic of a decoder on plain `f32` slices, forward and backward.
//!
//! Matrix products go through the `gemm` crate, whose entry point is unsafe; this module checks the
//! bounds and is the only one of the crate that may hold `unsafe`.

use gemm::Parallelism;

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

/// `dst = keep * dst + scale * a b`, on the calling thread. With `keep == 0` the old content is not read.
///
/// # Panics
/// If the shapes do not fit; the message names both.
pub fn matmul(dst: ViewMut, keep: f32, scale: f32, a: View, b: View) {
    assert!(
        a.cols == b.rows && dst.rows == a.rows && dst.cols == b.cols,
        "matmul: ({}, {}) x ({}, {}) into ({}, {})",
        a.rows,
        a.cols,
        b.rows,
        b.cols,
        dst.rows,
        dst.cols
    );
    if dst.rows == 0 || dst.cols == 0 {
        return;
    }
    // SAFETY: every view was checked on construction to lie inside its slice, `dst` is borrowed
    // mutably and therefore overlaps neither operand, and the strides are those of the views.
    #[expect(unsafe_code)]
    unsafe {
        gemm::gemm(
            dst.rows,
            dst.cols,
            a.cols,
            dst.data.as_mut_ptr(),
            1,
            dst.row_stride as isize,
            keep != 0.0,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            keep,
            scale,
            false,
            false,
            false,
            Parallelism::None,
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

/// RMSNorm: `y = x / sqrt(mean(x²) + eps) * g` for each row of length `g.len()`.
pub fn rms_norm(ys: &mut [f32], xs: &[f32], g: &[f32], eps: f32) {
    for (y, x) in ys.chunks_exact_mut(g.len()).zip(xs.chunks_exact(g.len())) {
        let inv = inv_rms(x, eps);
        for ((y, x), g) in y.iter_mut().zip(x).zip(g) {
            *y = x * inv * g;
        }
    }
}

/// Adds the gradient of [`rms_norm`] with respect to xs to `dxs`.
pub fn rms_norm_back(dxs: &mut [f32], dys: &[f32], xs: &[f32], g: &[f32], eps: f32) {
    let d = g.len();
    for ((dx, dy), x) in dxs
        .chunks_exact_mut(d)
        .zip(dys.chunks_exact(d))
        .zip(xs.chunks_exact(d))
    {
        let inv = inv_rms(x, eps);
        let dot: f32 = dy.iter().zip(x).zip(g).map(|((dy, x), g)| dy * x * g).sum();
        let c = dot * inv * inv * inv / d as f32;
        for (((dx, dy), x), g) in dx.iter_mut().zip(dy).zip(x).zip(g) {
            *dx += dy * g * inv - x * c;
        }
    }
}

fn inv_rms(x: &[f32], eps: f32) -> f32 {
    1.0 / (x.iter().map(|v| v * v).sum::<f32>() / x.len() as f32 + eps).sqrt()
}

/// Rotary position embedding, half-split as in Hugging Face Llama: dimension i turns with i + d/2.
pub struct Rope {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
}

impl Rope {
    pub fn new(head_dim: usize, theta: f32, max_positions: usize) -> Self {
        let half = head_dim / 2;
        let mut cos = Vec::with_capacity(max_positions * half);
        let mut sin = Vec::with_capacity(max_positions * half);
        for p in 0..max_positions {
            for i in 0..half {
                let angle = p as f64 / f64::from(theta).powf(i as f64 / half as f64);
                cos.push(angle.cos() as f32);
                sin.push(angle.sin() as f32);
            }
        }
        Self { cos, sin, half }
    }

    /// Rotates every head of every row; `sign` 1 forward, −1 for the gradient (the inverse rotation).
    pub fn rotate(&self, xs: &mut [f32], width: usize, positions: &[u32], sign: f32) {
        let h = self.half;
        for (row, &p) in xs.chunks_exact_mut(width).zip(positions) {
            let cos = &self.cos[p as usize * h..(p as usize + 1) * h];
            let sin = &self.sin[p as usize * h..(p as usize + 1) * h];
            for head in row.chunks_exact_mut(2 * h) {
                let (a, b) = head.split_at_mut(h);
                for i in 0..h {
                    let (x, y, s) = (a[i], b[i], sin[i] * sign);
                    a[i] = x * cos[i] - y * s;
                    b[i] = y * cos[i] + x * s;
                }
            }
        }
    }
}

/// SwiGLU: `act = silu(gate) * up`.
pub fn swiglu(act: &mut [f32], gate: &[f32], up: &[f32]) {
    for ((a, g), u) in act.iter_mut().zip(gate).zip(up) {
        *a = g / (1.0 + (-g).exp()) * u;
    }
}

/// From `dact` to the gradients of gate and up, which overwrite `dgate` and `dup`.
pub fn swiglu_back(dgate: &mut [f32], dup: &mut [f32], dact: &[f32], gate: &[f32], up: &[f32]) {
    for i in 0..dact.len() {
        let s = 1.0 / (1.0 + (-gate[i]).exp());
        let silu = gate[i] * s;
        dup[i] = dact[i] * silu;
        dgate[i] = dact[i] * up[i] * (s + silu * (1.0 - s));
    }
}

/// `ln Σ exp(x)`, stable.
pub fn log_sum_exp(xs: &[f32]) -> f32 {
    let max = xs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    max + xs.iter().map(|x| (x - max).exp()).sum::<f32>().ln()
}

/// Softmax in place.
pub fn softmax(xs: &mut [f32]) {
    let max = xs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for x in xs.iter_mut() {
        *x = (*x - max).exp();
        sum += *x;
    }
    let inv = 1.0 / sum;
    xs.iter_mut().for_each(|x| *x *= inv);
}
