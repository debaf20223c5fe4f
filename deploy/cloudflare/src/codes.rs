//! What Cloudflare's error codes mean for a deployment, and what to do about them.

/// The codes, in their order. The texts of Cloudflare say what is wrong; these say what to do.
const CODES: [(u32, &str); 24] = [
    (1015, "wait: the address of this machine has sent too many requests"),
    (9109, "check `CLOUDFLARE_API_TOKEN`: the token does not exist, or was revoked"),
    (
        10000,
        "check that the token has the permission `Workers Scripts: Edit`, and those for the resources, on this account",
    ),
    (10007, "somebody else has deleted the Worker; `realgar plan` shows what is missing"),
    (10016, "choose another name for the Worker"),
    (10021, "start the Worker with `realgar dev`: it fails there in the same way"),
    (10027, "the bundle is too large; `realgar build` prints its size"),
    (10041, "the KV namespace is gone; `realgar plan` shows what is missing"),
    (10052, "something that is still deployed is bound to it; deploy that without the binding first"),
    (10054, "a variable or secret has more than 5 KB"),
    (10055, "the Worker has too many variables and secrets"),
    (10061, "the class does not exist in that Worker; deploy the Worker that hosts it first"),
    (10063, "open `Workers & Pages` in the dashboard once, which gives the account its workers.dev subdomain"),
    (10064, "another Worker or a queue still needs it; remove it there first"),
    (10074, "the class has a history of its own; say in `#[worker(..)]` what became of it"),
    (10079, "the Worker was deployed with migration tags by another tool; keep its history with `migrations = \"..\"`"),
    (10085, "the R2 bucket is gone; `realgar plan` shows what is missing"),
    (10143, "the Worker that is bound does not exist; deploy it first"),
    (10181, "the D1 database is gone; `realgar plan` shows what is missing"),
    (10214, "the newest version of the Worker is not the deployed one; deploy or roll back in the dashboard"),
    (11000, "the queue is gone; `realgar plan` shows what is missing"),
    (100_116, "the host name belongs to another Worker; remove it there"),
    (100_117, "the host name has DNS records of its own; remove them"),
    (100_402, "say in `#[worker(..)]` what became of the class: `renamed(..)`, `transferred_to(..)` or `deleted(..)`"),
];

/// The codes of answers that something which a script binds does not exist. They also come for a while after it was made, for each kind
/// of resource another one.
const UNSEEN: [u32; 11] = [7404, 10007, 10041, 10061, 10085, 10143, 10144, 10181, 10182, 11000, 100_146];

/// Whether the code says that something which was referred to is not there.
pub(crate) fn is_unseen(code: u32) -> bool {
    UNSEEN.contains(&code)
}

/// The codes that are known, with what to do about each.
pub fn remedies() -> impl Iterator<Item = (u32, &'static str)> {
    CODES.into_iter()
}

/// What to do about an error with this code, if it is known.
pub(crate) fn remedy(code: u32) -> Option<&'static str> {
    CODES
        .binary_search_by_key(&code, |(known, _)| *known)
        .ok()
        .and_then(|index| CODES.get(index))
        .map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_found() {
        assert!(CODES.is_sorted_by_key(|(code, _)| *code));
        assert!(CODES.iter().all(|(code, text)| remedy(*code) == Some(text)));
        assert_eq!(remedy(1), None);
    }
}
