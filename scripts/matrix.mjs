// `npm run test:matrix [-- 18 24]`: tests of cluster, API and agent under other versions of Node: the tests, our package and the apps.
//
// The versions come as the npm packages `node@<version>`, into a folder that is kept (PM2_RS_MATRIX_CACHE, by default in
// the temporary folder). Needs a build (`node scripts/build.mjs`).

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..')
const versions = process.argv.length > 2 ? process.argv.slice(2) : ['18', '20', '22', '24', 'latest']
const cache = process.env.PM2_RS_MATRIX_CACHE ?? path.join(tmpdir(), 'pm2-rs-matrix')

const testsIn = (folder) =>
  readdirSync(path.join(root, folder))
    .filter((name) => /\.test\.m?js$/.test(name))
    .map((name) => `${folder}/${name}`)
const tests = [
  ...testsIn('__test__/cluster'),
  '__test__/api.test.js',
  ...testsIn('__test__/api'),
  '__test__/agent.test.js',
]

function install(version) {
  const prefix = path.join(cache, version)
  const node = path.join(prefix, 'node_modules/node/bin/node')
  if (!existsSync(node)) {
    mkdirSync(prefix, { recursive: true })
    execFileSync('npm', ['install', '--silent', '--no-audit', '--no-fund', '--prefix', prefix, `node@${version}`])
  }
  return node
}

const results = []
for (const version of versions) {
  const node = install(version)
  const actual = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
  console.log(`\n> ${tests.length} test files with ${actual}`)
  const env = {
    ...process.env,
    PATH: `${path.dirname(node)}${path.delimiter}${process.env.PATH}`,
    PM2_RS_TEST_NODE: node,
    PM2_DISABLE_VERSION_CHECK: 'true',
  }
  const { status } = spawnSync(node, ['--test', ...tests], { cwd: root, env, stdio: 'inherit' })
  results.push(`${actual}: ${status === 0 ? 'passed' : 'FAILED'}`)
  if (status !== 0) process.exitCode = 1
}
console.log(`\n${results.join('\n')}`)
