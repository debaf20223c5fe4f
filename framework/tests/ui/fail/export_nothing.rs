realgar::export!();
realgar::export!(Api, Other);
realgar::export!(u32);

fn main() {}
