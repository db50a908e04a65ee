//! Judges against a scripted one, and against what promptfoo made of the same answers.

mod asking;
mod calibrations;
mod comparisons;
mod goldens;
