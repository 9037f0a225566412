// Starts Swagger UI on the server's own OpenAPI document; a file of its own, as the page allows no inline script.
const source = document.currentScript.dataset.openapi;
window.SwaggerUIBundle({
  url: source,
  dom_id: "#swagger-ui",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  presets: [window.SwaggerUIBundle.presets.apis],
});
