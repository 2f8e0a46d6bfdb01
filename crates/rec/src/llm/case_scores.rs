//! What a model says of one user.

pub struct CaseScores {
    /// By category position of the catalogue: `ln p(name)`, or what calibration made of it. None, if they are not
    /// ranked.
    pub categories: Vec<f32>,
    /// By catalogue position.
    pub items: Vec<f32>,
    pub user_vector: Vec<f32>,
    pub prompt_tokens: usize,
}
