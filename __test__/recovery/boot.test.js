'use strict'

// What happens when the machine starts: the saved list comes back as it was.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { freshClient } = require('../support/home.js')

const names = async (pm2) => (await pm2.list()).map(({ name, pm_id, pm2_env }) => [pm_id, name, pm2_env.status])

test('resurrect brings the apps back in the order of the dump, and those that were stopped as stopped', async (t) => {
  const pm2 = freshClient(t)
  const order = 'm c x a k z b t d y e w'.split(' ')
  for (const name of order) await pm2.start({ script: '/bin/sleep', args: ['100000'], name })
  await pm2.stop('k')
  const before = await names(pm2)
  await pm2.dump()
  await pm2.killDaemon()
  await pm2.resurrect()
  assert.deepEqual(await names(pm2), before)
  assert.deepEqual(
    before.map(([, name]) => name),
    order,
  )
})

test('a broken dump is moved aside, not deleted, and its backup is used', async (t) => {
  const pm2 = freshClient(t)
  await pm2.start({ script: '/bin/sleep', args: ['100000'], name: 'app' })
  await pm2.dump()
  await pm2.dump()
  await pm2.killDaemon()
  const dump = path.join(pm2.home, 'dump.pm2')
  fs.writeFileSync(dump, '[{"name": "app", "pm_')
  await pm2.resurrect()
  assert.deepEqual(await names(pm2), [[0, 'app', 'online']])
  const aside = fs.readdirSync(pm2.home).filter((name) => name.startsWith('dump.pm2.broken-'))
  assert.equal(aside.length, 1)
  assert.equal(fs.readFileSync(path.join(pm2.home, aside[0]), 'utf8'), '[{"name": "app", "pm_')
  // Both are broken: said, and both are kept.
  await pm2.delete('all')
  fs.writeFileSync(dump, '{')
  fs.writeFileSync(`${dump}.bak`, '{')
  await assert.rejects(pm2.resurrect(), (error) => error.code === 'BROKEN_DUMP' && /was moved to/.test(error.message))
  assert.equal(fs.readdirSync(pm2.home).filter((name) => /^dump\.pm2(\.bak)?\.broken-/.test(name)).length, 3)
})
