//! What the program can be told to do: a few lines each over the library.

mod logger;
mod serve;

pub use serve::{serve, start};
