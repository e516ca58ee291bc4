// `node scripts/build.mjs [--release]`: builds addon and daemon and puts them where `lib/` looks for them: at the root.
//
// Without --release everything is built with the default features, so that the build and `cargo test` share artifacts.
// With it the addon carries no daemon, and the daemon neither napi nor the command line, which it loads the addon for.

import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, readdirSync, renameSync, statSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

import { parseTriple } from '@napi-rs/cli'

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..')
const release = process.argv.includes('--release')

function run(command, args) {
  console.log(`> ${[command, ...args].join(' ')}`)
  execFileSync(command, args, { cwd: root, stdio: 'inherit' })
}

const built = (folder, file) => path.resolve(root, process.env.CARGO_TARGET_DIR ?? 'target', folder, file)

/** Replaced by a new name, never written over: a process may be running from the old one. */
function place(from, name) {
  const next = path.join(root, `${name}.new`)
  copyFileSync(from, next)
  chmodSync(next, 0o755)
  renameSync(next, path.join(root, name))
}

if (release) {
  // As nothing but what Node loads: a library that Rust could link, too, would not be optimised as a whole, and be a quarter larger.
  run('cargo', [
    ...['rustc', '--lib', '--crate-type', 'cdylib', '--profile', 'addon'],
    ...['--no-default-features', '--features', 'binding'],
  ])
  const library = { win32: 'pm2_rs.dll', darwin: 'libpm2_rs.dylib' }[process.platform] ?? 'libpm2_rs.so'
  const host = /^host: (.+)$/m.exec(execFileSync('rustc', ['-vV'], { encoding: 'utf8' }))[1]
  place(built('addon', library), `pm2-rs.${parseTriple(host).platformArchABI}.node`)
} else {
  const napi = path.join(root, 'node_modules', '@napi-rs', 'cli', 'dist', 'cli.js')
  run(process.execPath, [napi, 'build', '--platform', '--js', 'binding.js', '--dts', 'binding.d.ts'])
}

const cargoArgs = ['build', '--bin', 'pm2d']
if (release) cargoArgs.push('--release', '--no-default-features', '--features', 'daemon')
run('cargo', cargoArgs)

const name = process.platform === 'win32' ? 'pm2d.exe' : 'pm2d'
place(built(release ? 'release' : 'debug', name), name)

// Both are installed by everybody, and the daemon's file is mapped as long as anything runs.
if (release) {
  const most = { [name]: 2.8, '.node': 4.4 }
  for (const file of readdirSync(root)) {
    const limit = most[Object.keys(most).find((end) => file.endsWith(end))]
    if (limit === undefined) continue
    const size = statSync(path.join(root, file)).size / 1e6
    console.log(`${file}: ${size.toFixed(2)} MB (limit ${limit})`)
    if (size > limit) process.exitCode = 1
  }
  if (process.exitCode)
    console.error('A file is larger than it may be: see what grew (`nm --size-sort`), or raise the limit')
}
