//! Figures, printed and not judged.
