mod planted;
mod table;
mod trees;
