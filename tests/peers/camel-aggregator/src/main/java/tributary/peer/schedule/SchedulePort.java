package tributary.peer.schedule;

import jakarta.jws.WebMethod;
import jakarta.jws.WebParam;
import jakarta.jws.WebResult;
import jakarta.jws.WebService;
import jakarta.jws.soap.SOAPBinding;

/** The contract of booked times: that of the service, and that of each source system. */
@WebService(name = "GetSubjectOfCareScheduleResponderInterface", targetNamespace = SchedulePort.WSDL)
@SOAPBinding(parameterStyle = SOAPBinding.ParameterStyle.BARE)
public interface SchedulePort {
    String WSDL = "urn:riv:crm:scheduling:GetSubjectOfCareSchedule:1:rivtabp21";
    String CONTRACT = "urn:riv:crm:scheduling:GetSubjectOfCareScheduleResponder:1";

    @WebMethod(operationName = "GetSubjectOfCareSchedule", action = CONTRACT + ":GetSubjectOfCareSchedule")
    @WebResult(name = "GetSubjectOfCareScheduleResponse", targetNamespace = CONTRACT, partName = "parameters")
    ScheduleResponse ask(
            @WebParam(name = "LogicalAddress", targetNamespace = "urn:riv:itintegration:registry:1", header = true,
                    partName = "LogicalAddress") String address,
            @WebParam(name = "GetSubjectOfCareSchedule", targetNamespace = CONTRACT, partName = "parameters")
                    ScheduleRequest request);
}
