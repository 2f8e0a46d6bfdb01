mod planted;
mod trees;
mod with_own;
