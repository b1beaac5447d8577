//! Invented people.

const FIRST_NAMES: [&str; 6] = ["Оксана", "Тарас", "Ірина", "Богдан", "Леся", "Остап"];
const LAST_NAMES: [&str; 6] = ["Вигадана", "Примірний", "Зразкова", "Нереальний", "Умовна", "Тестовий"];

/// What the register has about an invented person, the same for the same number: elements as XML.
pub fn person(number: &str) -> String {
    let seed = number.bytes().fold(7_usize, |sum, byte| (sum * 31 + usize::from(byte)) % 1_000_003);
    let (first, last) = (FIRST_NAMES[seed % FIRST_NAMES.len()], LAST_NAMES[seed / 7 % LAST_NAMES.len()]);
    let day = number.get(..8).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let birth = day.map_or("1990-01-01".to_owned(), |day| format!("{}-{}-{}", &day[..4], &day[4..6], &day[6..]));
    format!(
        "<firstName>{first}</firstName><lastName>{last}</lastName><middleName/><rnokpp>{:010}</rnokpp>\
         <gender>{}</gender><dateBirth>{birth}</dateBirth>{}",
        seed * 97,
        if seed.is_multiple_of(2) { "F" } else { "M" },
        document(seed)
    )
}

/// A document of an invented person: an element `documents` as XML.
pub fn document(seed: usize) -> String {
    format!(
        "<documents><type>NATIONAL_ID</type><number>{:09}</number><issuedAt>2020-02-29</issuedAt>\
         <expiredAt>2030-02-28</expiredAt><issuedBy>0000</issuedBy><status>VALID</status></documents>",
        seed % 1_000_000_000
    )
}
