'use strict'

// Every form of a config file, from the API and from the command line.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { cli, fixture, freshClient, root } = require('../support/home.js')

const script = JSON.stringify(fixture('forever.js'))

/** A text of each form for an app of this name. */
const forms = {
  'process.json': (name) => `{ // a comment\n "apps": [{ "script": ${script}, "name": "${name}", }] }`,
  'process.json5': (name) => `{ apps: { script: ${script}, name: '${name}' } }`,
  'process.yml': (name) => `apps:\n  - script: ${script}\n    name: ${name}\n`,
  'process.yaml': (name) => `- script: ${script}\n  name: ${name}\n`,
  'a.config.js': (name) =>
    `const { defineConfig } = require(${JSON.stringify(root)}); module.exports = defineConfig({ apps: [{ script: ${script}, name: '${name}' }] })`,
  'b.config.cjs': (name) => `module.exports = async () => ({ pm2: [{ script: ${script}, name: '${name}' }] })`,
  'c.config.mjs': (name) => `export default () => [{ script: ${script}, name: '${name}' }]`,
  'package.json': (name) => `{ "name": "x", "pm2": { "apps": [{ "script": ${script}, "name": "${name}" }] } }`,
}

test('every form of a config file is started, from the API and from the command line', async (t) => {
  const pm2 = freshClient(t)
  const folder = path.join(path.dirname(pm2.home), 'configs')
  fs.mkdirSync(folder)
  for (const [file, text] of Object.entries(forms)) {
    const [name, whole] = [file.replaceAll('.', '-'), path.join(folder, file)]
    fs.writeFileSync(whole, text(name))
    const [app] = await pm2.start(whole)
    assert.equal(app.pm2_env.name, name)
    assert.equal((await pm2.delete(whole)).length, 1, file)
    const { status, stderr } = cli(pm2.home, ['start', file], { cwd: folder })
    assert.equal(status, 0, `${file}: ${stderr}`)
    assert.equal((await pm2.describe(name))[0].pm2_env.status, 'online', file)
  }
})

test('a config file in TypeScript is evaluated where Node can, else it is said what is missing', async (t) => {
  const pm2 = freshClient(t)
  const file = path.join(path.dirname(pm2.home), 'eco.config.ts')
  fs.writeFileSync(file, `export default { apps: [{ script: ${script} as string, name: 'typed' }] }`)
  const { status, stdout, stderr } = cli(pm2.home, ['start', file])
  if (process.features.typescript) {
    assert.equal(status, 0, stderr)
    assert.equal((await pm2.describe('typed')).length, 1)
  } else {
    assert.equal(status, 1)
    assert.match(stdout + stderr, /eco\.config\.ts is TypeScript, which this Node \(v[\d.]+\) cannot run/)
  }
})
