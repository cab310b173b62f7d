//! `failure!`: the table that a service's error enum is to its callers, a line a variant. What the columns mean is
//! said at [`Failure`](super::Failure).

/// Implements [`Failure`](super::Failure) for an enum. `own` has the variants that are a fact of their own: kind and
/// code, and after those `fields: ...` or `retry_after: ...` where there is one. `asks` has those that only hold
/// another failure. What is in the braces at the end goes into the implementation as it is.
macro_rules! failure {
    (
        $error:ty,
        own { $(
            $own:ident $(($($tuple:pat),*))? $({ $($struct:tt)* })?
                => ($kind:expr, $code:literal $(, $what:ident: $value:expr)?)
        ),* $(,)? },
        asks { $( $asks:ident $(($inner:ident))? $({ $held:ident, .. })? ),* $(,)? }
        $(, { $($more:tt)* })? $(,)?
    ) => {
        #[allow(unused_variables, reason = "what a pattern names is for one of the columns")]
        impl $crate::error::Failure for $error {
            fn kind(&self) -> $crate::error::Kind {
                #[allow(unused_imports, reason = "for those that have a fact of their own")]
                use $crate::error::Kind;
                match self {
                    $( Self::$own $(($($tuple),*))? $({ $($struct)* })? => $kind, )*
                    $( Self::$asks $(($inner))? $({ $held, .. })? => $($inner)? $($held)? .kind(), )*
                }
            }

            fn code(&self) -> &'static str {
                match self {
                    $( Self::$own $(($($tuple),*))? $({ $($struct)* })? => $code, )*
                    $( Self::$asks $(($inner))? $({ $held, .. })? => $($inner)? $($held)? .code(), )*
                }
            }

            fn fields(&self) -> Option<&$crate::error::FieldErrors> {
                match self {
                    $( Self::$own $(($($tuple),*))? $({ $($struct)* })? =>
                        $crate::error::failure!(@fields $($what: $value)?), )*
                    $( Self::$asks $(($inner))? $({ $held, .. })? => $($inner)? $($held)? .fields(), )*
                }
            }

            fn retry_after(&self) -> Option<std::time::Duration> {
                match self {
                    $( Self::$own $(($($tuple),*))? $({ $($struct)* })? =>
                        $crate::error::failure!(@retry_after $($what: $value)?), )*
                    $( Self::$asks $(($inner))? $({ $held, .. })? => $($inner)? $($held)? .retry_after(), )*
                }
            }

            $($($more)*)?
        }
    };
    (@fields fields: $value:expr) => { Some($value) };
    (@retry_after retry_after: $value:expr) => { Some($value) };
    (@$column:ident $($what:ident: $value:expr)?) => { None };
}
pub(crate) use failure;
