'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { test } = require('node:test')
const { evaluate, evaluateToJson } = require('../lib/config_file.js')

function folderWith(t, files) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pm2-rs-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(folder, name), text)
  return (name) => path.join(folder, name)
}

const APPS = { apps: [{ script: 'a.js' }] }

test('every way to export a configuration', async (t) => {
  const file = folderWith(t, {
    'a.config.js': 'module.exports = { apps: [{ script: "a.js" }] }',
    'b.config.cjs': 'exports.apps = [{ script: "a.js" }]',
    'c.config.mjs': 'export default { apps: [{ script: "a.js" }] }',
    'd.config.mjs': 'export const apps = [{ script: "a.js" }]',
    'e.config.js': 'module.exports = async () => ({ apps: [{ script: "a.js" }] })',
    'f.config.mjs': 'export default () => ({ apps: [{ script: "a.js" }] })',
    'g.config.js':
      'Object.defineProperty(exports, "__esModule", { value: true }); exports.default = { apps: [{ script: "a.js" }] }',
    'h.config.mjs': 'await null; export default Promise.resolve({ apps: [{ script: "a.js" }] })',
  })
  for (const name of fs.readdirSync(path.dirname(file('x')))) {
    assert.deepEqual({ ...(await evaluate(file(name))) }, APPS, name)
  }
  assert.equal(await evaluateToJson(file('c.config.mjs')), JSON.stringify(APPS))
})

test('a .js file in a package of type module', async (t) => {
  const file = folderWith(t, {
    'package.json': '{"type":"module"}',
    'eco.config.js': 'export default { apps: [{ script: "a.js" }] }',
    'eco.config.cjs': 'module.exports = { apps: [{ script: "a.js" }] }',
  })
  assert.deepEqual(await evaluate(file('eco.config.js')), APPS)
  assert.deepEqual(await evaluate(file('eco.config.cjs')), APPS)
})

test('files are evaluated afresh each time', async (t) => {
  const file = folderWith(t, {})
  for (const [name, text] of [
    ['a.config.js', (n) => `module.exports = { apps: [${n}] }`],
    ['b.config.mjs', (n) => `export default { apps: [${n}] }`],
  ]) {
    for (const n of [1, 2]) {
      fs.writeFileSync(file(name), text(n))
      assert.deepEqual(await evaluate(file(name)), { apps: [n] }, name)
    }
  }
})

test('errors name the file and what is wrong', async (t) => {
  const file = folderWith(t, {
    'a.config.js': 'module.exports = { apps: [',
    'b.config.js': 'throw new Error("mine")',
    'c.config.js': 'module.exports = 7',
    'd.config.js': 'module.exports = () => new Promise(() => {})',
  })
  await assert.rejects(evaluate(file('a.config.js')), SyntaxError)
  await assert.rejects(evaluate(file('b.config.js')), { message: 'mine' })
  await assert.rejects(evaluate(file('c.config.js')), { code: 'INVALID_CONFIG', message: /c\.config\.js must export/ })
  await assert.rejects(evaluate(file('d.config.js'), { seconds: 0.05 }), {
    code: 'CONFIG_TIMEOUT',
    message: /within 0\.05 s/,
  })
  await assert.rejects(evaluate(file('none.config.js')), {
    code: 'ENOENT',
    errno: -2,
    syscall: 'open',
    message: `ENOENT: no such file or directory, open '${file('none.config.js')}'`,
  })
})

test('TypeScript: evaluated where Node can, else a clear error', async (t) => {
  const file = folderWith(t, {
    'a.config.mts': 'const apps: { script: string }[] = [{ script: "a.js" }]; export default { apps };',
  })
  const evaluated = evaluate(file('a.config.mts'))
  if (process.features.typescript) assert.deepEqual(await evaluated, APPS)
  else await assert.rejects(evaluated, { code: 'INVALID_CONFIG', message: /use Node 22\.18 or newer/ })
})
