//! What stands behind an error of the HTTP client.

use std::error::Error as StdError;
use std::io;

/// Returns the text of the innermost error, which is the one that says something.
pub(super) fn deepest_cause(error: &dyn StdError) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

/// Whether an error of type `T` is somewhere inside `error`.
pub(super) fn holds<T: StdError + 'static>(error: &(dyn StdError + 'static)) -> bool {
    inside::<T>(error).is_some()
}

/// Finds the error of type `T` that is somewhere inside `error`.
pub(super) fn inside<'a, T: StdError + 'static>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a T> {
    if let Some(found) = error.downcast_ref::<T>() {
        return Some(found);
    }
    // An `io::Error` shows as its source that of what it wraps, not the thing itself.
    let wrapped = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    match wrapped {
        Some(inner) => inside::<T>(inner),
        None => error.source().and_then(inside::<T>),
    }
}
