# Formula of latimer for Homebrew, written by `cargo xtask dist`.
class Latimer < Formula
  desc "Run coding agents on any model: a translation proxy"
  homepage "@REPOSITORY@"
  url "@REPOSITORY@/releases/download/v@VERSION@/@TARBALL@"
  sha256 "@SHA256@"
  license any_of: ["MIT", "Apache-2.0"]

  def install
    bin.install "bin/latimer", "bin/latimer-watchdog"
    man1.install Dir["share/man/man1/*.1"]
    bash_completion.install "share/bash-completion/completions/latimer"
    zsh_completion.install "share/zsh/site-functions/_latimer"
    fish_completion.install "share/fish/vendor_completions.d/latimer.fish"
    doc.install Dir["share/doc/latimer/*"]
  end

  service do
    run [opt_bin/"latimer-watchdog", "run", "--log", "json"]
    keep_alive successful_exit: false
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/latimer --version --json")
  end
end
