'use strict'

// The oracle: the same calls through stock pm2 and through ours, against a stock daemon and ours. Whatever is not the
// same is listed in compare.js, and explained in docs/differences.md.

const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { before, test } = require('node:test')
const { promisify } = require('node:util')

const { cli, freshHome, root } = require('../support/home.js')
const { deviations, differences, mask, shape, withoutStale } = require('./compare.js')

const stockPackage = path.join(root, 'node_modules', 'pm2')
const apps = path.join(root, '__test__', 'fixtures')

/** Runs the scenario through one of the two packages; answers what each step was called back with. */
async function play(home, pm2Package) {
  const { stdout } = await promisify(execFile)(process.execPath, [path.join(__dirname, 'scenario.js')], {
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      PM2_RS_TEST_RUN: process.env.PM2_RS_TEST_RUN,
      PM2_HOME: home,
      PM2_DISABLE_VERSION_CHECK: 'true',
      PM2_PACKAGE: pm2Package,
      APP_FOLDER: apps,
    },
    maxBuffer: 64 << 20,
    timeout: 120_000,
  })
  const results = JSON.parse(stdout.slice(stdout.indexOf('[{"name"')))
  return new Map(
    results.map((entry) => [
      entry.name,
      mask(entry, [
        [home, '<home>'],
        [apps, '<apps>'],
      ]),
    ]),
  )
}

/** What the scenario gives with stock pm2 on both sides; made once for all tests of this file. */
let reference
before(async (t) => {
  reference = await play(freshHome(t ?? { after: () => {} }), stockPackage)
})

/** Steps whose answer is another one on purpose, each with a heading of docs/differences.md. */
const otherwise = new Map()

function assertSame(ours) {
  const wrong = []
  let again = false
  for (const [name, theirs] of reference) {
    if (name === 'start of the object again') again = true
    if (otherwise.has(name)) continue
    const answer = ours.get(name)
    assert.ok(answer, `step "${name}" was not reached`)
    assert.deepEqual(answer.error, theirs.error, `error of "${name}"`)
    const seen = again ? withoutStale : (shapes) => shapes
    for (const line of differences(seen(shape(theirs.result)), seen(shape(answer.result))))
      wrong.push(`${name} ${line}`)
  }
  assert.deepEqual(wrong, [], `stock / ours differ:\n${wrong.join('\n')}`)
}

test('our client with our daemon answers as stock pm2 does', async (t) => {
  assertSame(await play(freshHome(t), root))
})

test('the stock client drives our daemon', async (t) => {
  const home = freshHome(t)
  // A query launches nothing with ours: the daemon is started by an action that changes nothing.
  const { custom } = require(root)
  const pm2 = new custom({ pm2_home: home })
  await pm2.connect()
  await pm2.disconnect()
  assertSame(await play(home, stockPackage))
})

test('our client drives a stock daemon', async (t) => {
  const home = freshHome(t)
  assert.equal(cli(home, ['ping'], { stock: true }).status, 0)
  assertSame(await play(home, root))
})

test('every deviation that the comparison allows is explained in docs/differences.md', () => {
  const text = fs.readFileSync(path.join(root, 'docs', 'differences.md'), 'utf8')
  for (const heading of [...Object.values(deviations), ...otherwise.values()])
    assert.match(text, new RegExp(`^#+ ${heading}`, 'm'))
})
