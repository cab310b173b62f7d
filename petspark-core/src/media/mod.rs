//! Photos and documents that people upload. Where their bytes are kept is `objects`; who may do
//! what with them is not decided there.

pub mod objects;
