'use strict'

// Bad configurations: a clear error soon, nothing started, the daemon and its other apps untouched.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { cli, fixture, freshClient, isAlive } = require('../support/home.js')

const script = fixture('forever.js')

/** A daemon with one good app, and a folder for the files of the test. */
async function playground(t) {
  const pm2 = freshClient(t)
  const [good] = await pm2.start({ script, name: 'good' })
  const folder = path.join(path.dirname(pm2.home), 'configs')
  fs.mkdirSync(folder)
  const daemon = fs.readFileSync(path.join(pm2.home, 'pm2.pid'), 'utf8')
  return {
    pm2,
    write: (name, text) => {
      fs.writeFileSync(path.join(folder, name), text)
      return path.join(folder, name)
    },
    /** Nothing was started, and what was there is as it was. */
    untouched: async () => {
      const list = await pm2.list()
      assert.deepEqual(
        list.map((app) => app.name),
        ['good'],
      )
      assert.equal(list[0].pid, good.pid)
      assert.ok(isAlive(good.pid))
      assert.equal(fs.readFileSync(path.join(pm2.home, 'pm2.pid'), 'utf8'), daemon)
    },
  }
}

/** The call fails with words that match, within five seconds. */
async function refused(promise, words) {
  const begun = Date.now()
  await assert.rejects(promise, (error) => {
    assert.match(String(error.message ?? error), words)
    return true
  })
  assert.ok(Date.now() - begun < 5000, `${Date.now() - begun} ms`)
}

test('wrong types and unknown programs are named', async (t) => {
  const { pm2, untouched } = await playground(t)
  await refused(pm2.start({ script, name: 'bad', max_restarts: 'many' }), /max_restarts/)
  await refused(pm2.start({ script, name: 'bad', instances: {} }), /instances/)
  await refused(pm2.start({ script, name: 'bad', interpreter: 'no-such-program' }), /no-such-program/)
  await refused(pm2.start({ script: '/no/such/file.js' }), /\/no\/such\/file\.js/)
  await refused(
    pm2.start([
      { script, name: 'fine' },
      { script, name: 'bad', watch: 5 },
    ]),
    /watch/,
  )
  await untouched()
})

test('an object that holds itself is refused', async (t) => {
  const { pm2, untouched } = await playground(t)
  const app = { script, name: 'loop', env: {} }
  app.env.self = app
  await refused((async () => pm2.start(app))(), /circular|cyclic/i)
  await untouched()
})

test('files that are no configuration are refused with their name', async (t) => {
  const { pm2, write, untouched } = await playground(t)
  await refused(pm2.start(write('broken.json', '{ "apps": [ ')), /broken\.json/)
  await refused(pm2.start(write('broken.config.js', 'module.exports = {')), /broken\.config\.js/)
  await refused(pm2.start(write('throws.config.js', 'throw new Error("thrown on purpose")')), /thrown on purpose/)
  await refused(pm2.start(write('broken.yml', 'apps:\n  - script: [')), /broken\.yml/)
  await untouched()
})

test('a file of 50 MB is refused', async (t) => {
  const { pm2, write, untouched } = await playground(t)
  await refused(
    pm2.start(write('huge.json', `{"apps":[{"script":"x","args":"${'x'.repeat(50 << 20)}"}]}`)),
    /huge\.json/,
  )
  await untouched()
})

test('a bomb of YAML aliases is refused', async (t) => {
  const { pm2, write, untouched } = await playground(t)
  let text = 'a0: &a0 [x, x, x, x, x, x, x, x, x]\n'
  for (let n = 1; n < 12; n++)
    text += `a${n}: &a${n} [${Array(9)
      .fill(`*a${n - 1}`)
      .join(', ')}]\n`
  await refused(pm2.start(write('bomb.yml', `${text}apps:\n  - script: *a11\n`)), /bomb\.yml/)
  await untouched()
})

const LOOP = 'for (;;);'
for (const [what, name, text] of [
  ['never resolves', 'never.config.js', 'module.exports = () => new Promise(() => {})'],
  ['loops', 'loops.config.js', LOOP],
  ['loops in its function', 'calls.config.js', `module.exports = () => { ${LOOP} }`],
  ['loops after it waited', 'waits.config.js', `module.exports = async () => { await null; ${LOOP} }`],
  ['loops as an ES module', 'loops.config.mjs', `export const apps = []; ${LOOP}`],
]) {
  test(`a configuration that ${what} is given up`, { timeout: 120_000 }, async (t) => {
    const { pm2, write, untouched } = await playground(t)
    const file = write(name, text)
    const words = new RegExp(`${name.replaceAll('.', '\\.')} was not evaluated within 4 s`)
    await refused(pm2.start(file), words)
    await untouched()
    const begun = Date.now()
    const { status, stdout, stderr } = cli(pm2.home, ['start', file])
    assert.ok(Date.now() - begun < 20_000)
    assert.equal(status, 1)
    assert.match(stdout + stderr, words)
    await untouched()
  })
}

test('__proto__ keys pollute nobody', async (t) => {
  const { pm2, write } = await playground(t)
  const file = write(
    'proto.json',
    `{"apps":[{"script":${JSON.stringify(script)},"name":"proto","__proto__":{"polluted":1},"env":{"__proto__":{"polluted":1},"constructor":"x"}}]}`,
  )
  await pm2.start(file).catch(() => {})
  assert.equal({}.polluted, undefined)
  assert.equal((await pm2.describe('good'))[0].pm2_env.polluted, undefined)
  await pm2.delete('proto').catch(() => {})
  assert.equal((await pm2.list()).length, 1)
})

test('a selector made to be slow is not slow', async (t) => {
  const { pm2, untouched } = await playground(t)
  const begun = Date.now()
  const name = `/${'(a+)+'.repeat(10)}$/`
  await pm2.stop(name).catch(() => {})
  const result = cli(pm2.home, ['stop', name])
  assert.ok(Date.now() - begun < 5000)
  assert.notEqual(result.status, null)
  await untouched()
})
