//! The script `shop`: one line for each script, and everything else in libraries.

realgar::export!(shop::Shop);
