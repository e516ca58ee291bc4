'use strict'

// `deploy` with a `ssh` of our own in PATH, which runs on this machine what was meant for another.

const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { cli, freshHome } = require('../support/home.js')

/** A folder with a repository of two commits, a fake ssh, and a config file that deploys to `hosts`. */
function site(t, hosts, more = {}) {
  const home = freshHome(t)
  const folder = path.dirname(home)
  const at = (...parts) => path.join(folder, ...parts)
  for (const name of ['bin', 'repo', 'work', 'user']) fs.mkdirSync(at(name))
  fs.writeFileSync(
    at('bin', 'ssh'),
    `#!/bin/sh
for last; do :; done
before=
while [ $# -gt 1 ]; do before="$before $1"; shift; done
echo "ssh$before" >> '${at('ssh.log')}'
exec sh -c "$last"
`,
    { mode: 0o755 },
  )
  const env = {
    PATH: `${at('bin')}:${process.env.PATH}`,
    HOME: at('user'),
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_AUTHOR_NAME: 'a',
    GIT_AUTHOR_EMAIL: 'a@b',
    GIT_COMMITTER_NAME: 'a',
    GIT_COMMITTER_EMAIL: 'a@b',
  }
  const git = (...args) =>
    execFileSync('git', args, {
      cwd: at('repo'),
      env: { ...process.env, ...env },
      encoding: 'utf8',
      stdio: 'pipe',
    }).trim()
  git('init', '-q', '-b', 'main')
  const commit = (text) => {
    fs.writeFileSync(at('repo', 'version'), text)
    git('add', '.')
    git('commit', '-q', '-m', `version ${text}`)
    return git('rev-parse', 'HEAD')
  }
  const production = {
    user: 'deploy',
    host: hosts,
    ref: 'origin/main',
    repo: at('repo'),
    path: at('srv app'),
    env: { WORD: "it's here" },
    'pre-deploy-local': `echo "local $WORD" >> '${at('hooks')}'`,
    'pre-setup': `echo pre-setup >> '${at('hooks')}'`,
    'post-setup': `echo "post-setup $(cat version)" >> '${at('hooks')}'`,
    'pre-deploy': `echo "pre-deploy $(cat version)" >> '${at('hooks')}'`,
    'post-deploy': `echo "post-deploy $(cat version) $WORD" >> '${at('hooks')}'`,
    ...more,
  }
  fs.writeFileSync(
    at('work', 'ecosystem.config.js'),
    `module.exports = ${JSON.stringify({ apps: [], deploy: { production } })}`,
  )
  const deploy = (...args) => cli(home, ['deploy', ...args], { cwd: at('work'), env })
  const hooks = () => {
    const text = fs.existsSync(at('hooks')) ? fs.readFileSync(at('hooks'), 'utf8') : ''
    fs.rmSync(at('hooks'), { force: true })
    return text.split('\n').filter(Boolean)
  }
  return { at, commit, deploy, git, home, hooks }
}

test('setup, deploy, revert: hooks in their order, the layout on the host', (t) => {
  const { at, commit, deploy, home, hooks } = site(t, 'one.example', { port: 2222, ssh_options: 'BatchMode=yes' })
  const first = commit('1')
  const early = deploy('production')
  assert.equal(early.status, 1)
  assert.match(early.stderr, /Deploy failed/)
  hooks()
  const setup = deploy('production', 'setup')
  assert.equal(setup.status, 0, setup.stdout + setup.stderr)
  assert.match(setup.stdout, /--> on host deploy@one\.example\n[\s\S]*--> Success\n/)
  assert.deepEqual(hooks(), ['pre-setup', 'post-setup 1'])
  assert.equal(
    fs.readFileSync(at('ssh.log'), 'utf8').trim().split('\n').at(-1),
    'ssh -o BatchMode=yes -p 2222 deploy@one.example',
  )
  for (const name of ['source/.git', 'shared/logs', 'shared/pids', 'current/version', '.deploys']) {
    assert.ok(fs.existsSync(at('srv app', name)), name)
  }
  assert.equal(deploy('production', 'setup').status, 0, 'a second time')
  hooks()

  assert.equal(deploy('ecosystem.config.js', 'production').status, 0)
  assert.deepEqual(hooks(), ["local it's here", 'pre-deploy 1', "post-deploy 1 it's here"])
  const second = commit('2')
  assert.equal(deploy('production', 'update').status, 0)
  assert.deepEqual(hooks().at(-1), "post-deploy 2 it's here")
  assert.equal(deploy('production', 'curr').stdout.split('\n').at(-2), second)
  assert.equal(deploy('production', 'previous').stdout.split('\n').at(-2), first)
  assert.match(deploy('production', 'list').stdout, new RegExp(`0 ${second} version 2\n1 ${first} version 1\n`))
  assert.match(deploy('production', 'exec', 'cat version; echo $WORD').stdout, /\n2it's here\n$/)
  assert.equal(deploy('production', 'revert', '1').status, 0)
  assert.equal(fs.readFileSync(at('srv app', 'current', 'version'), 'utf8'), '1')
  assert.equal(deploy('production', 'revert', '9').status, 1)
  assert.equal(deploy('production', 'ref', 'main').status, 0)
  assert.equal(fs.readFileSync(at('srv app', 'current', 'version'), 'utf8'), '2')
  assert.equal(deploy('production', 'ref', 'nowhere').status, 1)
  assert.equal(fs.existsSync(path.join(home, 'rpc.sock')), false, 'no daemon was launched here')
})

test('every host in its turn, until one fails', (t) => {
  const { at, commit, deploy } = site(t, ['one.example', 'two.example'])
  commit('1')
  assert.equal(deploy('production', 'setup').status, 0)
  const failing = deploy('production', 'exec', 'false')
  assert.equal(failing.status, 1)
  const hosts = fs.readFileSync(at('ssh.log'), 'utf8').trim().split('\n')
  assert.deepEqual(hosts, ['ssh deploy@one.example', 'ssh deploy@two.example', 'ssh deploy@one.example'])
})

test('what is not pushed is not deployed without --force', (t) => {
  const { at, commit, deploy, git } = site(t, 'one.example')
  commit('1')
  assert.equal(deploy('production', 'setup').status, 0)
  git('clone', '-q', at('repo'), at('clone'))
  fs.cpSync(at('work', 'ecosystem.config.js'), at('clone', 'ecosystem.config.js'))
  fs.renameSync(at('work'), at('elsewhere'))
  fs.renameSync(at('clone'), at('work'))
  assert.equal(deploy('production').status, 0, 'all is pushed')
  fs.writeFileSync(at('work', 'version'), 'changed')
  const refused = deploy('production')
  assert.equal(refused.status, 1)
  assert.match(refused.stderr, /push your changes/)
  assert.equal(deploy('production', '--force').status, 0)
})

test('what is wrong with the words or the file is said', (t) => {
  const { at, deploy } = site(t, 'one.example')
  assert.equal(deploy('help').status, 0)
  assert.equal(deploy().status, 0)
  assert.match(deploy('staging').stderr, /staging environment is not defined in ecosystem\.config\.js file/)
  assert.match(deploy('production', 'bogus').stderr, /`bogus` is no command of deploy/)
  fs.rmSync(at('work', 'ecosystem.config.js'))
  assert.match(deploy('production').stderr, /Not any default deployment file exists/)
  fs.writeFileSync(
    at('work', 'ecosystem.json'),
    JSON.stringify({ deploy: { production: { host: 'h', ref: 'r', path: '/p' } } }),
  )
  assert.match(deploy('production').stderr, /deploy\.production\.repo is missing/)
  assert.equal(fs.existsSync(at('ssh.log')), false)
})
