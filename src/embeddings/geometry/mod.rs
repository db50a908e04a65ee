//! Spaces as shapes.
