'use strict'

// What is published, installed as a user installs it: everything that is needed is in it, and nothing of the checkout is.

const assert = require('node:assert/strict')
const { execFileSync, spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { freshHome, pidsWithEnv, root } = require('./support/home.js')

test('the packed package works where nothing else is', async (t) => {
  const home = freshHome(t)
  const project = path.join(path.dirname(home), 'project')
  const staged = path.join(path.dirname(home), 'staged')
  fs.mkdirSync(project)
  const { pack, stagePackage, stagePlatform } = await import('../scripts/package.mjs')
  stagePackage(staged)
  const tarball = pack(staged, path.dirname(home))
  fs.writeFileSync(path.join(project, 'package.json'), '{ "private": true }')
  // The platform packages are not published from here: their absence must not fail an install, as on a platform without one.
  execFileSync('npm', ['install', '--offline', '--no-audit', '--no-fund', '--ignore-scripts', tarball], {
    cwd: project,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const installed = fs.readdirSync(path.join(project, 'node_modules')).filter((name) => !name.startsWith('.'))
  assert.deepEqual(installed, ['pm2-rs'])

  const env = { ...process.env, PM2_HOME: home }
  const node = (...args) => spawnSync(process.execPath, args, { cwd: project, env, encoding: 'utf8' })
  const use = `
    const pm2 = require('pm2-rs')
    pm2.start({ script: 'app.js', name: 'app' }, (error, apps) => {
      console.log(error ? error.message : apps[0].pm2_env.status)
      pm2.disconnect()
    })`
  fs.writeFileSync(path.join(project, 'app.js'), 'setInterval(() => {}, 1e6)')
  assert.match(node('-e', use).stdout, /^cannot load the native part of pm2-rs for .*\n(.*\n)*Reinstall pm2-rs without/)

  const platform = path.join(project, 'node_modules', '@pm2-rs', 'staged')
  const name = stagePlatform(platform)
  fs.renameSync(platform, path.join(project, 'node_modules', name))
  const started = node('-e', use)
  assert.deepEqual([started.stdout, started.stderr], ['online\n', ''])
  const imported = node(
    '--input-type=module',
    '-e',
    "import { defineConfig } from 'pm2-rs'; console.log(typeof defineConfig)",
  )
  assert.equal(imported.stdout, 'function\n')
  const { $schema } = JSON.parse(node('-p', "JSON.stringify(require('pm2-rs/schema.json'))").stdout)
  assert.match($schema, /json-schema/)

  const bin = (program, ...args) =>
    spawnSync(path.join(project, 'node_modules', '.bin', program), args, { cwd: project, env, encoding: 'utf8' })
  assert.equal(bin('pm2-rs', '--version').stdout, `${require('../package.json').version}\n`)
  assert.deepEqual(
    JSON.parse(bin('pm2-rs', 'jlist').stdout).map((app) => app.name),
    ['app'],
  )
  assert.equal(bin('pm2-rs', 'kill').status, 0)
  const run = bin('pm2-rs-runtime', 'app.js', '--version')
  assert.equal(run.status, 0, run.stderr)
  assert.deepEqual(pidsWithEnv(`PM2_HOME=${home}`), [])

  fs.writeFileSync(
    path.join(project, 'types.mts'),
    "import pm2, { type StartOptions } from 'pm2-rs'\nconst app: StartOptions = { script: 'a.js' }\nawait pm2.start(app)\n",
  )
  const types = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022', '--types', 'node']
  const checked = spawnSync(
    path.join(root, 'node_modules/.bin/tsc'),
    [...types, '--typeRoots', path.join(root, 'node_modules/@types'), 'types.mts'],
    {
      cwd: project,
      encoding: 'utf8',
    },
  )
  assert.deepEqual([checked.status, checked.stdout], [0, ''])
})
