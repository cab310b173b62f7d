//! Which new passwords are accepted: one rule for registering, changing, resetting and users made
//! by an operator. How passwords are hashed is the business of [`password`](super::password).
//!
//! Length, no common password, nothing made of one's own name; no composition rules, no expiry
//! (NIST SP 800-63B section 5.1.1.2, ASVS 5.0 6.2.1 to 6.2.11). A password is judged without its
//! case, and stored and compared exactly as typed: nothing is trimmed, cut or normalised.

use std::sync::LazyLock;

use zeroize::Zeroizing;

use super::password::Password;

/// The common passwords, in lower case; the file says where they come from.
static COMMON: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("common_passwords.txt").lines().filter(|line| !line.starts_with('#')).collect());

/// What the service is called: the first word that a guesser adds a year to.
const SERVICE: &str = "petspark";

/// Own words shorter than this are found in every other password by chance.
const SHORTEST_WORD: usize = 3;

/// Whose password it is going to be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Owner<'a> {
    /// Their address; what stands before the `@` must not be their password.
    pub(crate) email: &'a str,
    /// Their name.
    pub(crate) display_name: &'a str,
}

/// Whether `password` may become the password of `owner`. `min_chars` is
/// [`AuthSettings::password_min_chars`](crate::config::AuthSettings::password_min_chars), at
/// least [`Password::MIN_CHARS`].
///
/// # Errors
/// What is wrong, for a person.
pub(crate) fn check(password: &Password, owner: Owner<'_>, min_chars: u32) -> Result<(), String> {
    let min_chars = (min_chars as usize).max(Password::MIN_CHARS);
    if password.chars() < min_chars {
        return Err(format!("must have at least {min_chars} characters"));
    }
    if password.is_too_long() {
        return Err(format!("must have at most {} characters", Password::MAX_CHARS));
    }
    let text = password.lower_case();
    if is_common(&text) {
        return Err("is one of the most common passwords; please choose another".to_owned());
    }
    let rest = without_words(&text, owner);
    if rest.len() < text.len() && (rest.chars().count() < Password::MIN_CHARS || is_common(&rest)) {
        return Err(
            "must not be made of your name, your e-mail address or the name of this service; please add other words"
                .to_owned(),
        );
    }
    Ok(())
}

fn is_common(text: &str) -> bool {
    COMMON.binary_search(&text).is_ok()
}

/// What is left of a password when everything that can be known about its owner is taken out.
fn without_words(text: &str, owner: Owner<'_>) -> Zeroizing<String> {
    let local = owner.email.rsplit_once('@').map_or(owner.email, |(local, _)| local).to_lowercase();
    let name = owner.display_name.to_lowercase();
    let mut words = vec![SERVICE, &local, &name];
    words.extend(local.split(|c: char| !c.is_alphanumeric()));
    words.extend(name.split(|c: char| !c.is_alphanumeric()));
    words.retain(|word| word.chars().count() >= SHORTEST_WORD);
    // The longest first: `ada.lovelace` whole, before `ada` leaves a dot behind.
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let mut rest = Zeroizing::new(text.to_owned());
    for word in words {
        rest = Zeroizing::new(rest.replace(word, ""));
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: Owner<'_> = Owner { email: "ada.lovelace@example.org", display_name: "Ada Byron" };

    fn verdict(password: &str) -> Result<(), String> {
        check(&Password::new(password), ADA, 8)
    }

    #[test]
    fn asvs_6_2_1_length_is_counted_in_characters() {
        assert!(verdict("1g7.vb!").unwrap_err().contains("at least 8"));
        assert!(verdict("pässwörd").is_ok());
        assert!(verdict(&"🐕".repeat(256)).is_ok());
        assert!(verdict(&"🐕".repeat(257)).unwrap_err().contains("at most 256"));
        assert!(check(&Password::new("fourteen chars"), ADA, 15).unwrap_err().contains("at least 15"));
        // The least that the library allows stands, whatever an embedder sets.
        assert!(check(&Password::new("1g7.vb!"), ADA, 1).is_err());
    }

    #[test]
    fn asvs_6_2_4_each_common_password_is_refused_in_any_case() {
        assert!(COMMON.len() >= 3000 && COMMON.is_sorted());
        for common in COMMON.iter() {
            assert!(common.len() >= Password::MIN_CHARS && *common == common.to_lowercase(), "{common}");
            assert!(verdict(common).is_err(), "{common}");
            assert!(verdict(&common.to_uppercase()).is_err(), "{common}");
        }
        for top in ["password", "12345678", "iloveyou", "qwertyuiop", "trustno1"] {
            assert!(verdict(top).unwrap_err().contains("common"), "{top}");
        }
    }

    #[test]
    fn asvs_6_2_5_any_composition_is_accepted() {
        for fine in ["correcthorsebattery", "CORRECTHORSE", "7391840265", "🐕🐈🐇🐹🦜🐢🐍🐠", "        ", "naïve café"]
        {
            assert_eq!(verdict(fine), Ok(()), "{fine:?}");
        }
    }

    #[test]
    fn asvs_6_1_2_and_6_2_11_words_that_belong_to_the_owner_or_the_service_are_no_password() {
        for own in [
            "petspark2026",
            "PetSpark-2026!",
            "petsparkpassword1",
            "ada.lovelace",
            "Lovelace1815",
            "adabyron99",
            "Ada Byron",
            "byronlovelace",
        ] {
            assert!(verdict(own).unwrap_err().contains("your name"), "{own}");
        }
        assert_eq!(verdict("petspark is not what I typed"), Ok(()));
        assert_eq!(verdict("adaptable horses"), Ok(()));
        // Somebody else's name is a word like any other.
        assert_eq!(
            check(&Password::new("Lovelace1815"), Owner { email: "bo@example.org", display_name: "Bo" }, 8),
            Ok(())
        );
    }
}
