//! Adapters over constructed spaces.
