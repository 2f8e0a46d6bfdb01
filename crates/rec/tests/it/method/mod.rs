mod planted;
mod trees;
