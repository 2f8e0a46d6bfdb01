//! Adam's moments of a flat vector of parameters.

pub(super) struct Moments {
    pub m: Vec<f32>,
    pub v: Vec<f32>,
}

impl Moments {
    pub fn new(n: usize) -> Self {
        Self {
            m: vec![0.0; n],
            v: vec![0.0; n],
        }
    }
}

type Chunk<'a> = (usize, &'a mut [f32], &'a mut [f32], &'a mut [f32]);

/// Parameters with their moments, `n` at a time, and where each chunk begins.
pub(super) fn chunks<'a>(
    n: usize,
    params: &'a mut [f32],
    moments: &'a mut Moments,
) -> impl Iterator<Item = Chunk<'a>> {
    let m = moments.m.chunks_mut(n);
    let v = moments.v.chunks_mut(n);
    let moments = m.zip(v);
    let params = (0..).step_by(n).zip(params.chunks_mut(n));
    params
        .zip(moments)
        .map(|((first, p), (m, v))| (first, p, m, v))
}
