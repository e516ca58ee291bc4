'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { Client } = require('../lib/client.js')

const root = path.join(__dirname, '..')
const part = (name) => fs.readFileSync(path.join(root, 'types', `${name}.d.ts`), 'utf8')

/** What stands between the braces of an interface of `types/<file>.d.ts`. */
const bodyOf = (file, name) => new RegExp(`^export interface ${name} \\{$([\\s\\S]*?)^\\}$`, 'm').exec(part(file))[1]

/** The names of the methods that an interface declares. */
function declared(file, name) {
  return [...new Set([...bodyOf(file, name).matchAll(/^ {2}(\w+)\(/gm)].map((match) => match[1]))].sort()
}

function methods(prototype) {
  return Object.getOwnPropertyNames(prototype)
    .filter((name) => name !== 'constructor')
    .sort()
}

test('types/api.d.ts declares every method, and none that does not exist', () => {
  assert.deepEqual(declared('api', 'API'), methods(require('../index.js').custom.prototype))
})

test('types/client.d.ts declares the methods of pm2.Client', () => {
  assert.deepEqual(
    declared('client', 'Client'),
    methods(Client.prototype).filter((name) => name !== 'processes'),
  )
})

test('index.d.ts gives a name to everything that types/ declares', () => {
  const index = fs.readFileSync(path.join(root, 'index.d.ts'), 'utf8')
  for (const file of fs.readdirSync(path.join(root, 'types'))) {
    const from = file.replace('.d.ts', '')
    for (const [, name] of part(from).matchAll(/^export (?:interface|type) (\w+)/gm)) {
      assert.match(index, new RegExp(`^ {2}type ${name}\\b.* = ${from}\\.${name}\\b`, 'm'))
    }
  }
})

test('the table of options, schema.json and StartOptions name the same options', () => {
  const typed = [...bodyOf('options', 'StartOptions').matchAll(/^ {2}(\w+)\?:/gm)].map((match) => match[1])
  const page = fs.readFileSync(path.join(root, 'docs', 'options.md'), 'utf8')
  const rows = [...page.matchAll(/^\| `(\w+)`(?: \*\*ours\*\*)? \| ([^|]*) \|/gm)]
  const table = rows.flatMap(([, name, aliases]) => [
    name,
    ...[...aliases.matchAll(/`(\w+)`/g)].map((match) => match[1]),
  ])
  assert.ok(table.length >= 120, `${table.length} names`)
  // Where the arguments of the script are, beside a script.
  const ofTheCall = ['scriptArgs', 'rawArgs']
  assert.deepEqual(typed.filter((name) => !ofTheCall.includes(name)).sort(), [...table].sort())
  const schema = JSON.parse(fs.readFileSync(path.join(root, 'schema.json'), 'utf8'))
  // With the last one a JSON file names its schema: it is no option.
  assert.deepEqual(Object.keys(appSchema(schema)).sort(), [...table, '$schema'].sort())
})

/** The properties of an app, wherever in the schema they are. */
function appSchema(schema) {
  const found = Object.values(schema.$defs ?? schema.definitions ?? {}).find((part) => part.properties?.script)
  return (found ?? schema).properties
}
