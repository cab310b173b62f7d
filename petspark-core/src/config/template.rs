//! Prints every declared setting as a commented `.env` file.

use std::fmt::Write as _;

use super::loader::Resolved;

/// `.env.example`: every setting by the name that operators use, with what it does and its
/// default. All lines are comments, so that the file as it is changes nothing.
#[must_use]
pub fn env_template(settings: &[Resolved]) -> String {
    let mut text = String::from(
        "# PetSpark settings. Printed by `petspark-cli config template`; every line here is the default.\n\
         # Precedence: flags, environment, this file (as .env, in development only), the TOML file\n\
         # that PETSPARK_CONFIG names, defaults. A secret NAME can also be given as NAME_FILE, the\n\
         # path of a file that holds it.\n",
    );
    let (named, unnamed): (Vec<_>, Vec<_>) = settings.iter().partition(|setting| setting.env.is_some());
    for setting in named.into_iter().chain(unnamed) {
        let name = match setting.env {
            Some(name) => name.to_owned(),
            None => format!("PETSPARK__{}", setting.key.replace('.', "__").to_uppercase()),
        };
        // Settings whose default depends on the machine say so themselves.
        let default = if setting.about.contains("Default:") { "" } else { &setting.default };
        // Writing to a String can't fail.
        let _ = write!(text, "\n# {}\n# {name}={default}\n", setting.about);
    }
    text
}
