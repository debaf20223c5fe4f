//! The Worker that hosts the library's object.

realgar::export!(pantry::PantryHost);
