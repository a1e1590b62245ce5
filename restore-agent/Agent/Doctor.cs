using RestoreAgent.Api;
namespace RestoreAgent.Agent;
public static class Doctor { public static DoctorLine[] Examine(AgentFolders folders) => []; }
