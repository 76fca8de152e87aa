//! What is refused, line by line, and that a report never quotes what it must not.

use std::fs;
use std::path::PathBuf;

use super::*;

const CARDS_HEADER: &str = "cardmember,pan,psn,expiry,programme,role,status,pin";
const MEMBERS_HEADER: &str = "reference,name,email,user_id";

fn read(content: impl AsRef<[u8]>) -> Result<ImportFile, ImportError> {
    read_under(content, Some(&KeyName("zpk".into())))
}

fn read_under(content: impl AsRef<[u8]>, zone_key: Option<&KeyName>) -> Result<ImportFile, ImportError> {
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join("file.csv");
    fs::write(&path, content).unwrap();
    ImportFile::read(&path, zone_key)
}

fn bad_lines(content: impl AsRef<[u8]>) -> Vec<(u64, &'static str, String)> {
    let file = read(content).unwrap();
    assert!(file.has_bad_lines(), "nothing was refused");
    let bad = file.bad.into_iter();
    bad.map(|bad| (bad.line, bad.column, bad.reason)).collect()
}

#[test]
fn every_way_to_bring_a_pin_is_read_and_columns_come_in_any_order() {
    let file = read(
        "pin,cardmember,pan,psn,expiry,programme,role,status\n\
         none,LB-1,9999010000000011,1,3011,credit,basic,inactive\n\
         pvv:1:4021,LB-1,9999010000000029,1,3011,credit,supplementary,active\n\
         iso0:0123456789abcdef,LB-1,999902000000018,0,3011,charge,basic,blocked\n\
         iso4:00112233445566778899AABBCCDDEEFF,LB-1,9999010000000037,99,3011,credit,basic,active\n\
         iso3:0123456789ABCDEF,LB-1,9999010000000045,0,3011,credit,basic,active\n\
         ibm3624:0417,LB-1,9999010000000052,0,3011,credit,basic,active\n\
         ibm3624:041799995555,LB-1,9999010000000060,0,3011,credit,basic,active\n",
    );
    let Rows::Cards(cards) = file.unwrap().rows else {
        panic!("these are cards")
    };
    let pins: Vec<String> = cards.iter().map(|card| format!("{:?}", card.pin)).collect();
    assert!(pins[0].contains("None"));
    assert!(pins[1].contains("[4, 0, 2, 1]"));
    assert!(pins[2].contains("Iso0"));
    assert!(pins[3].contains("Iso4"));
    assert!(pins[4].contains("Iso3"));
    assert!(pins[5].contains("offset: [0, 4, 1, 7] "));
    assert!(pins[6].contains("offset: [0, 4, 1, 7, 9, 9, 9, 9, 5, 5, 5, 5]"));
}

#[test]
fn each_bad_column_of_a_card_is_told_with_its_line_and_nothing_secret() {
    let good = [
        "LB-1",
        "9999010000000011",
        "1",
        "3011",
        "credit",
        "basic",
        "active",
        "none",
    ];
    let rows = [
        ("cardmember", ""),
        ("pan", "9999010000000012"),
        ("pan", "99990100000000x1"),
        ("pan", "99990100011"),
        ("psn", "100"),
        ("expiry", "3013"),
        ("programme", ""),
        ("role", "owner"),
        ("status", "lost"),
        ("pin", "1234"),
        ("pin", "pvv:7:4021"),
        ("pin", "pvv:1:402"),
        ("pin", "iso0:0123456789ABCDE"),
        ("pin", "iso4:0123456789ABCDEF"),
        ("pin", "iso3:0123456789ABCDE"),
    ];
    for (column, value) in rows {
        let at = cards::COLUMNS.iter().position(|name| *name == column).unwrap();
        let mut line = good;
        line[at] = value;
        let bad = bad_lines(format!(
            "{CARDS_HEADER}\n{}\n{}\n",
            good.join(","),
            line.join(",")
        ));
        assert_eq!(bad.len(), 1, "{column} {value}");
        assert_eq!((bad[0].0, bad[0].1), (3, column), "{value}");
        let (_, content) = value.rsplit_once(':').unwrap_or(("", value));
        let is_secret = matches!(column, "pan" | "pin") && content.starts_with(|c: char| c.is_ascii_digit());
        assert!(
            !is_secret || !bad[0].2.contains(content),
            "{column} is quoted: {}",
            bad[0].2
        );
    }
}

#[test]
fn each_bad_column_of_a_cardmember_is_told() {
    let rows = [
        (",Ada Fenn,ada@larkfield.example,ada", "reference"),
        ("LB-1,,ada@larkfield.example,ada", "name"),
        ("LB-1,Ada Fenn,ada at larkfield,ada", "email"),
        ("LB-1,Ada Fenn,ada@larkfield.example,a b", "user_id"),
        ("LB-1,Ada Fenn,ada@larkfield.example,ab", "user_id"),
        ("LB-1,Ada Fenn,ada@larkfield.example", "line"),
    ];
    for (line, column) in rows {
        let bad = bad_lines(format!("{MEMBERS_HEADER}\n{line}\n"));
        assert_eq!((bad[0].0, bad[0].1), (2, column), "{line}");
    }
}

#[test]
fn all_bad_columns_of_a_line_are_told_at_once() {
    let bad = bad_lines(format!("{CARDS_HEADER}\nLB-1,1,x,9,credit,basic,gone,none\n"));
    let columns: Vec<&str> = bad.iter().map(|(_, column, _)| *column).collect();
    assert_eq!(columns, ["pan", "psn", "expiry", "status"]);
}

#[test]
fn a_pin_block_without_a_zone_key_is_refused() {
    let line = "LB-1,9999010000000011,1,3011,credit,basic,active,iso0:0123456789ABCDEF";
    let file = read_under(format!("{CARDS_HEADER}\n{line}\n"), None).unwrap();
    assert!(file.has_bad_lines());
}

#[test]
fn a_header_that_is_neither_kind_is_refused() {
    for header in [
        "name,email",
        "reference,name,email,user_id,colour",
        "reference,name,email,email",
        "",
    ] {
        assert!(
            matches!(read(format!("{header}\n")), Err(ImportError::Header { .. })),
            "{header}"
        );
    }
}

#[test]
fn every_line_that_is_not_utf_8_is_told_with_its_column_and_the_others_are_read_on() {
    let lines: [&[u8]; 5] = [
        MEMBERS_HEADER.as_bytes(),
        b"LB-1,\xff,a@b.example,ada",
        b"LB-2,Bea Moss,b@b.example,bea",
        b"LB-3,Cy Hale,\xc3\x28@b.example,c",
        b"LB-4,Di Rook,d@b.example,dirook",
    ];
    let content = lines.join(&b'\n');
    let columns = |bad: Vec<(u64, &'static str, String)>| -> Vec<(u64, &'static str)> {
        bad.into_iter().map(|(line, column, _)| (line, column)).collect()
    };
    assert_eq!(
        columns(bad_lines(&content)),
        [(2, "name"), (4, "email"), (4, "user_id")]
    );
    assert_eq!(bad_lines(&content)[0].2, "not UTF-8");
    assert_eq!(read(&content).unwrap().lines, [3, 5]);
    assert!(matches!(
        read(b"reference,n\xffme,email,user_id\n"),
        Err(ImportError::Header { .. })
    ));
}

#[test]
fn cards_past_their_last_month_are_found_by_their_lines() {
    let line = |expiry| format!("LB-1,9999010000000011,1,{expiry},credit,basic,active,none\n");
    let lines = ["2309", "2310", "2311", "2312"].map(line).concat();
    let file = read(format!("{CARDS_HEADER}\n{lines}")).unwrap();
    // 14 November 2023.
    assert_eq!(file.expired(Timestamp(1_700_000_000_000)), [2, 3]);
}
