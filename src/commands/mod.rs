//! What the program can be told to do: a few lines each over the library.

mod import;
mod logger;
mod serve;

pub use import::import;
pub use serve::{serve, start};
