// The scenarios of the official conformance suite, by whom they are for. Each that the
// suite has must be in one of the lists; `make interop` fails otherwise, so that new
// ones are noticed.

/** Revisions of MCP that are tried. 2025-06-18 and 2025-11-25 have the handshake, 2026-07-28 has none. */
export const revisions = ["2025-06-18", "2025-11-25", "2026-07-28"];

/**
 * run: what must pass in each revision that it applies to. leave: what is not run, by
 * the reason; "NAME REVISION" is that in one revision. without: checks of a scenario
 * that fail for the reason given, and must not pass.
 */
export const scenarios = {
  /** For Hosts. */
  server: {
    run: [
      "server-initialize",
      "server-stateless",
      "ping",
      "tools-list",
      "resources-list",
      "sep-2164-resource-not-found",
      "prompts-list",
      "server-sse-multiple-streams",
      "dns-rebinding-protection",
      "caching",
      "http-header-validation",
      "input-required-result-unsupported-methods",
    ],
    without: {
      "server-stateless": {
        "it calls a tool of the suite's own": [
          "sep-2575-server-rejects-undeclared-capability",
          "sep-2575-missing-capability-http-400",
          "sep-2575-http-server-no-independent-requests-on-stream",
          "sep-2575-server-no-log-without-loglevel",
        ],
      },
    },
    leave: {
      "it calls tools of the suite's own, and a Host has those of a Host": [
        "tools-call-simple-text",
        "tools-call-image",
        "tools-call-audio",
        "tools-call-embedded-resource",
        "tools-call-mixed-content",
        "tools-call-error",
        "tools-call-with-progress",
        "json-schema-2020-12",
        "http-custom-header-server-validation",
      ],
      "Hosts have no sessions": ["server-session-lifecycle", "server-sse-multiple-streams 2025-11-25"],
      "Hosts answer with one JSON body": ["server-sse-polling"],
      "Hosts log nothing to clients": ["logging-set-level", "tools-call-with-logging"],
      "Hosts ask nothing of clients: no sampling, no elicitation, no roots": [
        "tools-call-sampling",
        "tools-call-elicitation",
        "elicitation-sep1034-defaults",
        "elicitation-sep1330-enums",
        "input-required-result-basic-elicitation",
        "input-required-result-basic-sampling",
        "input-required-result-basic-list-roots",
        "input-required-result-request-state",
        "input-required-result-multiple-input-requests",
        "input-required-result-multi-round",
        "input-required-result-missing-input-response",
        "input-required-result-non-tool-request",
        "input-required-result-result-type",
        "input-required-result-tampered-state",
        "input-required-result-capability-check",
        "input-required-result-ignore-extra-params",
        "input-required-result-validate-input",
      ],
      "it reads resources, prompts and completions of the suite's own": [
        "resources-read-text",
        "resources-read-binary",
        "resources-templates-read",
        "prompts-get-simple",
        "prompts-get-with-args",
        "prompts-get-embedded-resource",
        "prompts-get-with-image",
        "completion-complete",
      ],
      "over HTTP there is no session to subscribe in; subscriptions/listen is tried in places.mjs": [
        "resources-subscribe",
        "resources-unsubscribe",
      ],
      "an extension that Hosts don't have": [
        "sep-2640-skills-directory",
        "sep-2640-skills-enumeration",
        "sep-2640-skills-manifest",
        "tasks-lifecycle",
        "tasks-capability-negotiation",
        "tasks-wire-fields",
        "tasks-request-state-removal",
        "tasks-mrtr-input",
        "tasks-request-headers",
        "tasks-dispatch-and-envelope",
        "tasks-status-notifications",
        "tasks-required-task-error",
        "tasks-mrtr-composition",
      ],
    },
  },

  /** For the Guest: `concierge mcp guest`, see conformance-client.mjs. */
  client: {
    run: [
      "initialize",
      "tools_call",
      "sse-retry",
      "request-metadata",
      "http-standard-headers",
      "http-custom-headers",
      "http-invalid-tool-headers",
      "json-schema-ref-no-deref",
      "json-schema-2020-12-preservation",
    ],
    without: {},
    leave: {
      "a Guest answers no questions of Hosts, and declares that it doesn't": [
        "elicitation-sep1034-client-defaults",
        "sep-2322-client-request-state",
      ],
      "a Guest has no OAuth: it pays, and nobody needs to know it": [
        "auth/metadata-default",
        "auth/metadata-var1",
        "auth/metadata-var2",
        "auth/metadata-var3",
        "auth/basic-cimd",
        "auth/scope-from-www-authenticate",
        "auth/scope-from-scopes-supported",
        "auth/scope-omitted-when-undefined",
        "auth/scope-step-up",
        "auth/scope-retry-limit",
        "auth/token-endpoint-auth-basic",
        "auth/token-endpoint-auth-post",
        "auth/token-endpoint-auth-none",
        "auth/pre-registration",
        "auth/2025-03-26-oauth-metadata-backcompat",
        "auth/2025-03-26-oauth-endpoint-fallback",
        "auth/resource-mismatch",
        "auth/offline-access-scope",
        "auth/offline-access-not-supported",
        "auth/authorization-server-migration",
        "auth/iss-supported",
        "auth/iss-not-advertised",
        "auth/iss-supported-missing",
        "auth/iss-wrong-issuer",
        "auth/iss-unexpected",
        "auth/iss-normalized",
        "auth/metadata-issuer-mismatch",
        "auth/client-credentials-jwt",
        "auth/client-credentials-basic",
        "auth/enterprise-managed-authorization",
        "auth/dpop",
        "auth/dpop-nonce",
        "auth/wif-jwt-bearer",
      ],
      "an extension that Guests don't have": [
        "sep-2640-client-no-prefetch",
        "sep-2640-client-verify-digest",
        "sep-2640-client-verify-size",
        "sep-2640-client-verify-frontmatter",
      ],
    },
  },

  authorization: {
    run: [],
    without: {},
    leave: {
      "there is no authorization server": ["authorization-server-metadata-endpoint", "authorization-code-grant"],
    },
  },
};
