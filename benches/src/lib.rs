//! Numbers about PetSpark: criterion benches (`cargo bench -p petspark-benches`), the programs
//! that `benches/compare` measures a running server with, and what it is compared with.

pub mod load;
