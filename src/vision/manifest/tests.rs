use super::*;

const GOOD: &str = include_str!("example.toml");

fn parse(text: &str) -> Result<Manifest, VisionError> {
    Manifest::parse(Path::new("/srv/models/manifest.toml"), text)
}

fn problems(changes: &[(&str, &str)]) -> Vec<String> {
    let text = changes.iter().fold(GOOD.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is not in the example");
        text.replace(from, to)
    });
    match parse(&text) {
        Err(VisionError::ManifestInvalid { problems, .. }) => problems,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_manifest_becomes_models_with_files_beside_it() {
    let manifest = parse(GOOD).unwrap();
    assert_eq!(manifest.self_test, Path::new("/srv/models/self-test.png"));
    let ours = manifest.model(None).unwrap();
    assert_eq!(ours.file, Path::new("/srv/models/ours.onnx"));
    assert_eq!(ours.rule, ScoreRule::TopKMean { k: 3 });
    assert_eq!(ours.output, Output::FailureMap { map: "map".to_owned() });
    assert!(ours.input.antialias);
    let theirs = manifest.model(Some("theirs")).unwrap();
    assert_eq!(theirs.rule, ScoreRule::SumOfConfidences);
    assert!(matches!(&theirs.output, Output::YoloBoxes { overlap, .. } if *overlap == 0.45));
    assert_eq!(theirs.sha256, "ab".repeat(32), "the hash is compared in lower case");
}

#[test]
fn every_problem_is_named_with_its_model_and_key() {
    let found = problems(&[
        ("schema = 1", "schema = 2"),
        ("default = \"ours\"", "default = \"nobody\""),
        ("width = 320", "width = 4"),
        ("std = [0.229, 0.224, 0.225]", "std = [0.229, 0.0, 0.225]"),
        ("k = 3", "k = 0"),
        ("alert_point = 0.62", "alert_point = 1.2"),
        ("score = [0.0, 0.5, 1.0]", "score = [0.0, 0.5, 0.5]"),
        ("failure_class = 0\n", ""),
    ]);
    let expected = [
        "schema must be 1, found 2",
        "default must name one of the models, found \"nobody\"",
        "model \"ours\": input.width must be between 16 and 4096, found 4",
        "model \"ours\": input.std",
        "model \"ours\": score.k",
        "model \"ours\": score.alert_point must be between 0 and 1, found 1.2",
        "model \"ours\": calibration.score must be finite and strictly ascending",
        "model \"theirs\": output.failure_class",
    ];
    for needle in expected {
        assert!(
            found.iter().any(|line| line.starts_with(needle)),
            "{needle:?} is not in {found:#?}"
        );
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn keys_of_one_kind_do_not_belong_to_the_other() {
    let found = problems(&[("map = \"map\"", "map = \"map\"\noverlap = 0.4")]);
    assert!(found[0].contains("must have only `map`"), "{found:?}");
    let found = problems(&[("boxes = \"boxes\"", "map = \"boxes\"")]);
    assert!(found.iter().any(|line| line.contains("output.map does not belong")), "{found:?}");
    assert!(found.iter().any(|line| line.contains("output.boxes must name")), "{found:?}");
    let found =
        problems(&[("rule = \"sum_of_confidences\"", "rule = \"sum_of_confidences\"\nk = 2")]);
    assert!(found[0].contains("score.k belongs to"), "{found:?}");
}

#[test]
fn bars_are_trimmed_by_a_stride_that_divides_the_input_of_a_letterboxed_failure_map() {
    let trim = |by: u32| format!("pad = 114\ntrim_bars = {by}");
    let trimming = GOOD.replace("pad = 114", &trim(32));
    let manifest = parse(&trimming).unwrap();
    let ours = manifest.model(None).unwrap();
    assert_eq!(ours.input.trim_bars.map(u32::from), Some(32));
    let found = problems(&[("pad = 114", &trim(48))]);
    assert!(found[0].contains("input.trim_bars must divide"), "{found:?}");
    let found = problems(&[("pad = 0", "pad = 0\ntrim_bars = 32")]);
    assert!(found[0].contains("input.trim_bars is for models of kind failure_map"), "{found:?}");
}

#[test]
fn calibrations_must_have_a_value_for_each_score() {
    let found = problems(&[("probability = [0.0, 0.5, 1.0]", "probability = [0.5]")]);
    assert!(found[0].contains("calibration.probability must have 3"), "{found:?}");
    let found =
        problems(&[("log_likelihood_ratio = [-3.0, 0.0, 3.0]", "log_likelihood_ratio = []")]);
    assert!(found[0].contains("calibration.log_likelihood_ratio must have 3"), "{found:?}");
}

#[test]
fn names_are_unique() {
    let found = problems(&[("name = \"theirs\"", "name = \"ours\"")]);
    assert!(found[0].contains("must differ"), "{found:?}");
}

#[test]
fn unknown_keys_and_wrong_types_are_named_with_their_line() {
    for (from, to, needle) in [
        ("k = 3", "k = 3\ncolour = 4", "colour"),
        ("width = 320", "width = \"wide\"", "width"),
        ("kind = \"failure_map\"", "kind = \"oracle\"", "oracle"),
        ("licence = \"MIT\"\n", "", "licence"),
    ] {
        let error = parse(&GOOD.replacen(from, to, 1)).unwrap_err();
        assert!(matches!(error, VisionError::ManifestSyntax { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(needle) && text.contains("line"), "{text}");
    }
}
