//! Questions and their answers.

use super::*;

/// An index with two rows that differ in every field but patient and domain.
fn index() -> Ei {
    let mut other = owned("visit-2", OTHER);
    for (field, text) in [
        (Field::Categorization, "Other"),
        (Field::LogicalAddress, "SE-UNIT-2"),
        (Field::ClinicalProcessInterestId, "process-2"),
        (Field::MostRecentContent, "20261121000000"),
        (Field::SourceSystem, "SE-SYSTEM-2"),
        (Field::DataController, "SE-CONTROLLER-2"),
    ] {
        *other.engagement.place(field) = Some(text.to_owned());
    }
    let mut ei = Ei::new();
    ei.update(&[sent("visit-1")]).unwrap();
    ei.notified(&[other]).unwrap();
    ei
}

fn objects(found: &[crate::engagement::Engagement]) -> Vec<&str> {
    found.iter().map(|one| one.business_object.as_str()).collect()
}

#[test]
fn a_hit_and_no_hit() {
    let ei = index();
    assert_eq!(objects(&ei.rows()), ["visit-1", "visit-2"]);
    assert!(ei.find(&question("201212121212", DOMAIN)).unwrap().is_empty());
    assert!(ei.find(&question(PATIENT, "riv:other")).unwrap().is_empty());
}

#[test]
fn without_a_person_or_a_domain_it_is_ei000() {
    let ei = index();
    let whole = question(PATIENT, DOMAIN);
    for (field, text) in [("registeredResidentIdentification", PATIENT), ("serviceDomain", DOMAIN)] {
        let element = format!("<q:{field}>{text}</q:{field}>");
        for other in [String::new(), format!("<q:{field}/>"), element.replace("q:", "c:")] {
            let fault = ei.find(&whole.replace(&element, &other)).unwrap_err();
            assert_eq!(fault.code, "Server");
            assert!(fault.text.starts_with("EI000: "), "{}", fault.text);
            assert!(fault.text.contains(&format!("{field} is mandatory but missing")), "{}", fault.text);
        }
    }
}

#[test]
fn each_optional_field_is_a_filter() {
    let ei = index();
    for (field, text) in [
        (Field::Categorization, "Other"),
        (Field::LogicalAddress, "SE-UNIT-2"),
        (Field::BusinessObjectInstanceIdentifier, "visit-2"),
        (Field::ClinicalProcessInterestId, "process-2"),
        (Field::MostRecentContent, "20261120143001"),
        (Field::SourceSystem, "SE-SYSTEM-2"),
        (Field::DataController, "SE-CONTROLLER-2"),
        (Field::Owner, OTHER),
    ] {
        let element = field.element();
        let inside = format!("{}<q:{element}>{text}</q:{element}>", question(PATIENT, DOMAIN));
        assert_eq!(objects(&ei.find(&inside).unwrap()), ["visit-2"], "{element}");
        let inside = format!("{}<q:{element}/>", question(PATIENT, DOMAIN));
        assert_eq!(ei.find(&inside).unwrap().len(), 2, "an empty {element} is none");
        if field != Field::MostRecentContent {
            let inside = format!("{}<q:{element}>{text} </q:{element}>", question(PATIENT, DOMAIN));
            assert!(ei.find(&inside).unwrap().is_empty(), "white space in {element} counts");
        }
    }
    let inside = format!("{}<q:mostRecentContent>soon</q:mostRecentContent>", question(PATIENT, DOMAIN));
    assert!(ei.find(&inside).unwrap_err().text.starts_with("EI004: "));
}

#[test]
fn extensions_of_a_question_are_passed_over_and_a_field_twice_is_ei004() {
    let ei = index();
    let extensions = "<x:owner xmlns:x='x'>no</x:owner><q:any><q:owner>no</q:owner></q:any>\
                      <q:updateTime>1</q:updateTime><c:owner>no</c:owner>";
    let inside = format!("<!-- no -->{extensions}{}{extensions}", question(PATIENT, DOMAIN));
    assert_eq!(ei.find(&inside).unwrap().len(), 2);
    let twice = format!("{}<q:serviceDomain>riv:other</q:serviceDomain>", question(PATIENT, DOMAIN));
    let fault = ei.find(&twice).unwrap_err();
    assert!(fault.text.starts_with("EI004: ") && fault.text.contains("\"serviceDomain\""), "{}", fault.text);
}

#[test]
fn an_answer_has_the_fields_in_the_order_of_the_contract_escaped() {
    let mut row = harness::engagement("19<&>\"1", DOMAIN, "a\r\n]]>");
    row.most_recent_content = Some("00010101000000".parse().unwrap());
    let written = write_found(&crate::index::Found { engagements: vec![row], left_out: 0 });
    let (_, inside) = written.split_once("<r:engagement>").unwrap();
    let expected = "<e:registeredResidentIdentification>19&lt;&amp;&gt;&quot;1</e:registeredResidentIdentification>\
                    <e:serviceDomain>riv:crm:scheduling</e:serviceDomain>\
                    <e:categorization>a&#13;\n]]&gt;</e:categorization><e:logicalAddress>SE-UNIT</e:logicalAddress>\
                    <e:businessObjectInstanceIdentifier>NA</e:businessObjectInstanceIdentifier>\
                    <e:clinicalProcessInterestId>NA</e:clinicalProcessInterestId>\
                    <e:mostRecentContent>00010101000000</e:mostRecentContent><e:sourceSystem>SE-SYSTEM</e:sourceSystem>\
                    <e:dataController>SE-CONTROLLER</e:dataController><e:owner>SE-EI</e:owner></r:engagement>";
    assert!(inside.starts_with(expected), "{inside}");
    let found = find_content::read_answer(written.into_bytes(), None, LIMIT).unwrap();
    assert_eq!(found.engagements[0].categorization, "a\r\n]]>");
}

#[test]
fn an_answer_of_10_000_rows_is_one_message_that_the_flow_takes_whole() {
    let row = |number: usize| harness::engagement(PATIENT, DOMAIN, &format!("category-{number}"));
    let engagements: Vec<_> = (0..crate::index::MOST_FOUND).map(row).collect();
    let written = write_found(&crate::index::Found { engagements, left_out: 3 });
    let found = find_content::read_answer(written.into_bytes(), None, 64 << 20).unwrap();
    assert_eq!((found.engagements.len(), found.too_many), (10_000, 0));
    assert_eq!(found.engagements[9_999].categorization, "category-9999");
}
