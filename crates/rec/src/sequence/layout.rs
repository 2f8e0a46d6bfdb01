//! Where each parameter of a network lies in one flat vector, and how it begins.

use std::ops::Range;

use rand::Rng;

use crate::error::{Error, Result};

/// A parameter's name (`blocks.0.attention.q_proj.weight`), shape and place.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    pub name: String,
    pub shape: Vec<usize>,
    pub range: Range<usize>,
    init: Init,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Init {
    Constant(f32),
    /// Mean 0 and this standard deviation.
    Normal(f32),
}

impl Init {
    /// Xavier (Glorot & Bengio, AISTATS 2010), the normal variant.
    pub fn xavier(d_in: usize, d_out: usize) -> Self {
        Self::Normal((2.0 / (d_in + d_out) as f32).sqrt())
    }

    pub fn fill(self, xs: &mut [f32], rng: &mut impl Rng) {
        match self {
            Self::Constant(value) => xs.fill(value),
            // Box-Muller; one draw of two serves.
            Self::Normal(sd) => xs.iter_mut().for_each(|x| {
                let (u, v): (f64, f64) = (rng.random(), rng.random());
                let r = (-2.0 * (1.0 - u).ln()).sqrt();
                *x = sd * (r * (std::f64::consts::TAU * v).cos()) as f32;
            }),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layout {
    pub parameters: Vec<Parameter>,
    len: usize,
}

impl Layout {
    pub(super) fn push(&mut self, name: String, shape: &[usize], init: Init) -> Range<usize> {
        let range = self.len..self.len + shape.iter().product::<usize>();
        self.len = range.end;
        self.parameters.push(Parameter {
            name,
            shape: shape.to_vec(),
            range: range.clone(),
            init,
        });
        range
    }

    /// Numbers of all parameters together.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Parameters as they begin.
    pub fn init(&self, rng: &mut impl Rng) -> Vec<f32> {
        let mut params = vec![0.0; self.len];
        for p in &self.parameters {
            p.init.fill(&mut params[p.range.clone()], rng);
        }
        params
    }
}

/// The largest size that a configuration may ask for.
const MAX_SIZE: usize = 1 << 16;

/// # Errors
/// A size of 0 or above 65,536.
pub(super) fn check_sizes(system: &str, sizes: &[(&str, usize)]) -> Result<()> {
    match sizes.iter().find(|s| !(1..=MAX_SIZE).contains(&s.1)) {
        None => Ok(()),
        Some((key, value)) => Err(Error::Config(format!(
            "{system} {key} = {value}: from 1 to {MAX_SIZE}"
        ))),
    }
}
