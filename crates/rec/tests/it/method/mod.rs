mod features;
mod linear;
mod planted;
mod table;
mod trees;
mod with_own;
